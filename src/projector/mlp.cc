#include "projector/mlp.h"

#include "ops/activation.h"

namespace mobilevlm {

MlpWeights MlpWeights::Bind(WeightBinder& binder) {
  const std::string root(kHfProjectorPrefix);
  MlpWeights weights;
  weights.fc1 = binder.MatrixAndBias(root + "0");
  weights.fc2 = binder.MatrixAndBias(root + "2");
  return weights;
}

uint64_t MlpScratch::Bytes(const ProjectorConfig& config) {
  return static_cast<uint64_t>(config.tokens()) * static_cast<uint64_t>(config.hidden) * sizeof(float);
}

void ProjectMlp(const OpsContext& ctx, const MlpWeights& weights, Mat<const float> features,
                MlpScratch& scratch, Mat<float> tokens) {
  const Mat<float> inner = scratch.inner.ReserveMat(tokens.rows(), tokens.cols());
  Linear(ctx, features, weights.fc1, inner);
  Gelu(ctx, inner);  // erf, as torch's nn.GELU()
  Linear(ctx, inner, weights.fc2, tokens);
}

}  // namespace mobilevlm
