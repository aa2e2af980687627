// LDP, the projector of MobileVLM V1 (LDPBlock in vision_projector.py; arXiv 2312.16886, section 3.4): two
// MobileNetV3-style blocks (torchvision's InvertedResidual without expansion) after a two-layer MLP.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "ops/context.h"
#include "ops/linear.h"
#include "schema/config.h"
#include "tensor/mat.h"
#include "weights/binder.h"

namespace mobilevlm {

struct LdpBlockWeights {             // mb_block.N
  std::span<const float> depthwise;  // block.0.0, [hidden, 3, 3], no bias
  NormWeights depthwise_norm;        // block.0.1
  LinearWeights squeeze;             // block.1.fc1, [squeeze, hidden]
  LinearWeights excite;              // block.1.fc2, [hidden, squeeze]
  LinearWeights pointwise;           // block.2.0, [hidden, hidden], no bias
  NormWeights pointwise_norm;        // block.2.1
};

struct LdpWeights {
  LinearWeights fc1;  // mlp.1, [hidden, vision_hidden]
  LinearWeights fc2;  // mlp.3, [hidden, hidden]
  std::array<LdpBlockWeights, 2> blocks;

  static LdpWeights Bind(WeightBinder& binder);
};

struct LdpScratch {
  AlignedBuffer<float> a, b, c;     // [patches, hidden]
  AlignedBuffer<float> mean, gate;  // [1, hidden], [1, squeeze]

  static uint64_t Bytes(const ProjectorConfig& config);
};

// features: [grid * grid, vision_hidden] -> tokens: [grid/2 * grid/2, hidden], both row-major over the grid.
void ProjectLdp(const OpsContext& ctx, const ProjectorConfig& config, const LdpWeights& weights,
                Mat<const float> features, LdpScratch& scratch, Mat<float> tokens);

}  // namespace mobilevlm
