#include "projector/ldpv2.h"

#include "ops/activation.h"
#include "ops/conv_depthwise.h"
#include "ops/pool.h"

namespace mobilevlm {

LdpV2Weights LdpV2Weights::Bind(WeightBinder& binder) {
  LdpV2Weights weights;
  const std::string root(kHfProjectorPrefix);
  weights.fc1 = binder.MatrixAndBias(root + "mlp.mlp.0");
  weights.fc2 = binder.MatrixAndBias(root + "mlp.mlp.2");
  weights.peg_weight = binder.Floats(root + "peg.peg.0.weight");
  weights.peg_bias = binder.Floats(root + "peg.peg.0.bias");
  return weights;
}

uint64_t LdpV2Scratch::Bytes(const ProjectorConfig& config) {
  return 2 * static_cast<uint64_t>(config.grid) * static_cast<uint64_t>(config.grid) *
         static_cast<uint64_t>(config.hidden) * sizeof(float);
}

void ProjectLdpV2(const OpsContext& ctx, const ProjectorConfig& config, const LdpV2Weights& weights,
                  Mat<const float> features, LdpV2Scratch& scratch, Mat<float> tokens) {
  const size_t grid = static_cast<size_t>(config.grid);
  const size_t hidden = static_cast<size_t>(config.hidden);
  const Mat<float> a = scratch.a.ReserveMat(grid * grid, hidden);
  const Mat<float> b = scratch.b.ReserveMat(grid * grid, hidden);

  // FeatureIRLayer: Linear, GELU (erf), Linear.
  Linear(ctx, features, weights.fc1, a);
  Gelu(ctx, a);
  Linear(ctx, a, weights.fc2, b);
  // TokenDownLayer: AdaptiveAvgPool2d to half the grid, which is the mean of 2x2 squares.
  const Mat<float> pooled = a.Rows(0, tokens.rows());
  AvgPool2x2(ctx, b, grid, pooled);
  // PosInjectLayer: depthwise convolution with bias; the residual is the POOLED map. No activation follows.
  DepthwiseConv3x3(ctx, pooled, grid / 2, weights.peg_weight, weights.peg_bias, 1, tokens);
  AddInPlace(ctx, pooled, tokens);
}

}  // namespace mobilevlm
