// The projector of a model, whichever of the three kinds its file holds.
#pragma once

#include <cstdint>
#include <variant>

#include "projector/ldp.h"
#include "projector/ldpv2.h"
#include "projector/mlp.h"

namespace mobilevlm {

// Movable only; immutable after Bind. `file` must outlive the weights.
struct ProjectorWeights {
  std::variant<LdpV2Weights, LdpWeights, MlpWeights> net;
  WeightStore store;

  static Result<ProjectorWeights> Bind(const GgufFile& file, const ProjectorConfig& config, ThreadPool* pool);
};

// Reusable buffers, one caller at a time.
struct ProjectorScratch {
  LdpV2Scratch ldpv2;
  LdpScratch ldp;
  MlpScratch mlp;

  static uint64_t Bytes(const ProjectorConfig& config);
};

// features: [grid * grid, vision_hidden] -> tokens: [config.tokens(), hidden].
void Project(const OpsContext& ctx, const ProjectorConfig& config, const ProjectorWeights& weights,
             Mat<const float> features, ProjectorScratch& scratch, Mat<float> tokens);

}  // namespace mobilevlm
