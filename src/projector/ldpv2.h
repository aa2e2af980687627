// LDPv2, the projector of MobileVLM V2 (LDPNetV2Projector in vision_projector.py; arXiv 2402.03766,
// section 3.3): features -> visual tokens in the language model's space, a quarter as many.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "ops/context.h"
#include "ops/linear.h"
#include "schema/config.h"
#include "tensor/mat.h"
#include "weights/binder.h"

namespace mobilevlm {

struct LdpV2Weights {
  LinearWeights fc1;                  // mlp.0, [hidden, vision_hidden]
  LinearWeights fc2;                  // mlp.2, [hidden, hidden]
  std::span<const float> peg_weight;  // peg.0, [hidden, 3, 3]
  std::span<const float> peg_bias;    // [hidden]

  static LdpV2Weights Bind(WeightBinder& binder);
};

struct LdpV2Scratch {
  AlignedBuffer<float> a, b;  // [patches, hidden]

  static uint64_t Bytes(const ProjectorConfig& config);
};

// features: [grid * grid, vision_hidden] -> tokens: [grid/2 * grid/2, hidden], both row-major over the grid.
void ProjectLdpV2(const OpsContext& ctx, const ProjectorConfig& config, const LdpV2Weights& weights,
                  Mat<const float> features, LdpV2Scratch& scratch, Mat<float> tokens);

}  // namespace mobilevlm
