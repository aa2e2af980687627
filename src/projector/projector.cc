#include "projector/projector.h"

namespace mobilevlm {

Result<ProjectorWeights> ProjectorWeights::Bind(const GgufFile& file, const ProjectorConfig& config,
                                                ThreadPool* pool) {
  ProjectorWeights weights;
  MVLM_ASSIGN(auto binder, WeightBinder::Create(file, ProjectorTensors(config), &weights.store, pool));
  binder.AllowSplit();
  switch (config.type) {
    case ProjectorType::kLdpV2:
      weights.net = LdpV2Weights::Bind(binder);
      break;
    case ProjectorType::kLdp:
      weights.net = LdpWeights::Bind(binder);
      break;
    case ProjectorType::kMlp:
      weights.net = MlpWeights::Bind(binder);
      break;
  }
  MVLM_TRY(binder.status());
  return weights;
}

uint64_t ProjectorScratch::Bytes(const ProjectorConfig& config) {
  switch (config.type) {
    case ProjectorType::kLdpV2:
      return LdpV2Scratch::Bytes(config);
    case ProjectorType::kLdp:
      return LdpScratch::Bytes(config);
    case ProjectorType::kMlp:
      return MlpScratch::Bytes(config);
  }
  return 0;
}

void Project(const OpsContext& ctx, const ProjectorConfig& config, const ProjectorWeights& weights,
             Mat<const float> features, ProjectorScratch& scratch, Mat<float> tokens) {
  const size_t patches = static_cast<size_t>(config.grid) * static_cast<size_t>(config.grid);
  MVLM_CHECK(features.rows() == patches && features.cols() == static_cast<size_t>(config.vision_hidden));
  MVLM_CHECK(tokens.rows() == static_cast<size_t>(config.tokens()) &&
             tokens.cols() == static_cast<size_t>(config.hidden));
  if (const auto* ldpv2 = std::get_if<LdpV2Weights>(&weights.net)) {
    ProjectLdpV2(ctx, config, *ldpv2, features, scratch.ldpv2, tokens);
  } else if (const auto* ldp = std::get_if<LdpWeights>(&weights.net)) {
    ProjectLdp(ctx, config, *ldp, features, scratch.ldp, tokens);
  } else {
    ProjectMlp(ctx, std::get<MlpWeights>(weights.net), features, scratch.mlp, tokens);
  }
}

}  // namespace mobilevlm
