#include "projector/ldp.h"

#include "ops/activation.h"
#include "ops/conv_depthwise.h"
#include "ops/norm.h"
#include "ops/pool.h"

namespace mobilevlm {
namespace {

constexpr float kNormEps = 1e-5f;  // timm's LayerNormAct2d; not in the file

// torchvision SqueezeExcitation: x *= hardsigmoid(fc2(relu(fc1(mean over positions)))).
void SqueezeExcite(const OpsContext& ctx, const LdpBlockWeights& weights, LdpScratch& scratch, Mat<float> x) {
  const Mat<float> mean = scratch.mean.ReserveMat(1, x.cols());
  const Mat<float> gate = scratch.gate.ReserveMat(1, weights.squeeze.out);
  GlobalMean(ctx, x, {mean.data(), mean.cols()});
  Linear(ctx, mean, weights.squeeze, gate);
  Relu(ctx, gate);
  Linear(ctx, gate, weights.excite, mean);
  HardSigmoid(ctx, mean);
  ScaleChannels(ctx, {mean.data(), mean.cols()}, x);
}

// InvertedResidual.forward without expansion, on a channels-last map: x [grid * grid, hidden] ->
// y [g * g, hidden], g = Conv3x3OutputGrid(grid, stride). LayerNorm2d over the channels of one position is
// LayerNorm over a row. The residual exists only where the shape stays.
void InvertedResidual(const OpsContext& ctx, const LdpBlockWeights& weights, Mat<const float> x, size_t grid,
                      size_t stride, LdpScratch& scratch, Mat<float> work, Mat<float> y) {
  DepthwiseConv3x3(ctx, x, grid, weights.depthwise, {}, stride, work);
  LayerNorm(ctx, work, weights.depthwise_norm.gamma, weights.depthwise_norm.beta, kNormEps, work);
  HardSwish(ctx, work);
  SqueezeExcite(ctx, weights, scratch, work);
  Linear(ctx, work, weights.pointwise, y);
  LayerNorm(ctx, y, weights.pointwise_norm.gamma, weights.pointwise_norm.beta, kNormEps, y);
  if (stride == 1) AddInPlace(ctx, x, y);
}

}  // namespace

LdpWeights LdpWeights::Bind(WeightBinder& binder) {
  LdpWeights weights;
  const std::string root = std::string(kHfProjectorPrefix) + "model.";
  weights.fc1 = binder.MatrixAndBias(root + "mlp.1");
  weights.fc2 = binder.MatrixAndBias(root + "mlp.3");
  for (size_t i = 0; i < weights.blocks.size(); ++i) {
    const std::string prefix = fmt::format("{}mb_block.{}.block.", root, i + 1);
    LdpBlockWeights& block = weights.blocks[i];
    block.depthwise = binder.Floats(prefix + "0.0.weight");
    block.depthwise_norm = binder.Norm(prefix + "0.1");
    block.squeeze = binder.MatrixAndBias(prefix + "1.fc1");
    block.excite = binder.MatrixAndBias(prefix + "1.fc2");
    block.pointwise = binder.Matrix(prefix + "2.0.weight");
    block.pointwise_norm = binder.Norm(prefix + "2.1");
  }
  return weights;
}

uint64_t LdpScratch::Bytes(const ProjectorConfig& config) {
  const uint64_t positions = static_cast<uint64_t>(config.grid) * static_cast<uint64_t>(config.grid);
  return (3 * positions + 2) * static_cast<uint64_t>(config.hidden) * sizeof(float);
}

void ProjectLdp(const OpsContext& ctx, const ProjectorConfig& config, const LdpWeights& weights,
                Mat<const float> features, LdpScratch& scratch, Mat<float> tokens) {
  const size_t grid = static_cast<size_t>(config.grid);
  const size_t hidden = static_cast<size_t>(config.hidden);
  const Mat<float> a = scratch.a.ReserveMat(grid * grid, hidden);
  const Mat<float> b = scratch.b.ReserveMat(grid * grid, hidden);
  const Mat<float> c = scratch.c.ReserveMat(grid * grid, hidden);

  // mlp: Linear, GELU (erf), Linear.
  Linear(ctx, features, weights.fc1, a);
  Gelu(ctx, a);
  Linear(ctx, a, weights.fc2, b);
  // mb_block: the first keeps the grid (residual), the second halves it.
  InvertedResidual(ctx, weights.blocks[0], b, grid, 1, scratch, c, a);
  InvertedResidual(ctx, weights.blocks[1], a, grid, 2, scratch, c.Rows(0, tokens.rows()), tokens);
}

}  // namespace mobilevlm
