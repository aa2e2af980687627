// The two-layer MLP of LLaVA-1.5 (mm_projector_type "mlp2x_gelu"; build_vision_projector in
// vision_projector.py, where MobileVLM keeps it as well): every patch becomes one visual token.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "ops/context.h"
#include "ops/linear.h"
#include "schema/config.h"
#include "tensor/mat.h"
#include "weights/binder.h"

namespace mobilevlm {

struct MlpWeights {
  LinearWeights fc1;  // 0, [hidden, vision_hidden]
  LinearWeights fc2;  // 2, [hidden, hidden]

  static MlpWeights Bind(WeightBinder& binder);
};

struct MlpScratch {
  AlignedBuffer<float> inner;  // [patches, hidden]

  static uint64_t Bytes(const ProjectorConfig& config);
};

// features: [patches, vision_hidden] -> tokens: [patches, hidden].
void ProjectMlp(const OpsContext& ctx, const MlpWeights& weights, Mat<const float> features,
                MlpScratch& scratch, Mat<float> tokens);

}  // namespace mobilevlm
