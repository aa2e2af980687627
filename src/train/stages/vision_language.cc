#include "train/stages/vision_language.h"

#include "train/checkpoint.h"
#include "train/data/feature_cache.h"
#include "train/stages/text_step.h"
#include "train/stages/validation.h"

namespace mobilevlm::train {
namespace {

Status LoadFrom(torch::nn::Module& module, const std::string& path, const std::string& prefix) {
  MVLM_ASSIGN(const Checkpoint checkpoint, ReadCheckpoint(path));
  if (auto status = LoadModule(module, checkpoint.tensors, prefix); !status) {
    return Context(status.error(), "{}", path);
  }
  return {};
}

// The decoder at one learning rate, the projector at another. The cells' places were learned before.
std::vector<ParameterGroup> Groups(const MobileVlmImpl& model, double decoder_rate, double projector_rate,
                                   double weight_decay) {
  ParameterGroup decoder{{}, decoder_rate, weight_decay}, projector{{}, projector_rate, weight_decay};
  for (const auto& item : model.named_parameters()) {
    if (item.key() == "cell_places") continue;
    const bool in_projector = item.key().starts_with("model.mm_projector.");
    (in_projector ? projector : decoder).parameters.emplace_back(item.key(), item.value());
  }
  return {decoder, projector};
}

// Everything both stages need besides the model.
struct Pictures {
  ClipVisionTower tower{nullptr};
  std::optional<FeatureCache> cache;
  ValidationSet validation;
  std::vector<torch::Tensor> features;  // of the validation scenes, per kind [scenes, patches, hidden], half
  torch::Tensor blank;                  // [1, patches, hidden]
};

Status Prepare(const world::World& world, const MiniConfig& config, const StageOptions& options,
               const TextOptions& text_options, const WorldText& text, DataParallel& parallel,
               StopSignal& stop, Pictures& pictures) {
  pictures.tower = ClipVisionTower(config.vision);
  MVLM_TRY(LoadFrom(*pictures.tower, options.directory + "/tower/checkpoint.pt", "model:tower."));
  const auto open = [&] {
    return FeatureCache::Open(options.directory + "/features", world, config.image, pictures.tower,
                              text_options.scenes, parallel, stop);
  };
  const auto compute_missing = [&]() -> Status {
    MVLM_TRY(open());
    return {};
  };
  MVLM_TRY(parallel.processes().OncePerMachine(compute_missing));
  MVLM_ASSIGN(pictures.cache, open());
  pictures.validation = MakeValidationSet(world, text, text_options.questions_per_kind, options.seed);
  for (const ValidationSet::Kind& kind : pictures.validation.kinds) {
    pictures.features.push_back(
        EncodeScenes(world, config.image, pictures.tower, kind.scenes, parallel).to(torch::kHalf));
  }
  pictures.blank = EncodeBlank(config.image, pictures.tower);
  return {};
}

nlohmann::json Validate(MobileVlm& model, const Pictures& pictures, int visual, DataParallel& parallel) {
  const ValidationSet& set = pictures.validation;
  const VisualSource seen = [&](const ValidationSet::Kind& kind, size_t begin, size_t end,
                                MicroBatch& batch) {
    const size_t k = static_cast<size_t>(&kind - set.kinds.data());
    batch.features = pictures.features[k]
                         .slice(0, static_cast<int64_t>(begin), static_cast<int64_t>(end))
                         .to(torch::kFloat32);
  };
  const VisualSource blank = [&](const ValidationSet::Kind&, size_t begin, size_t end, MicroBatch& batch) {
    batch.features = pictures.blank.expand({static_cast<int64_t>(end - begin), -1, -1});
  };
  nlohmann::json report = ExactMatchPerKind(*model, set, visual, seen, parallel);
  report["blank"] = ExactMatchPerKind(*model, set, visual, blank, parallel);
  return report;
}

using MakeSample = std::function<TokenSample(const world::Scene& scene, Random& random)>;

struct Recipe {
  std::string name;
  std::string from;  // checkpoint of the weights to start with, relative to the run's directory
  bool aligns;       // that checkpoint has no projector yet; the cells' words are shown beside the features
  double projector_rate;
};

Result<LoopEnd> Train(const Recipe& recipe, const world::World& world, const WorldText& text,
                      const LlmConfig& llm, const MiniConfig& config, const StageOptions& options,
                      const TextOptions& text_options, const MakeSample& make, StopSignal& stop) {
  torch::manual_seed(options.seed);
  DataParallel parallel(options.parallel);
  MobileVlm model(MobileVlmConfig{.llm = llm,
                                  .projector = config.projector(),
                                  .vision = std::nullopt,
                                  .cells = recipe.aligns ? text.visual() : 0,
                                  .cell_loss = text_options.cell_loss,
                                  .look_loss = text_options.look_loss});
  MVLM_ASSIGN(const Checkpoint start, ReadCheckpoint(options.directory + "/" + recipe.from));
  NamedTensors weights = WithoutPrefix(start.tensors, "model:");
  if (recipe.aligns) weights.merge(ModuleTensors(*model, ""));  // the projector stays as initialised
  if (auto status = LoadModule(*model, weights, ""); !status)
    return Context(status.error(), "{}", recipe.from);
  Optimizer optimizer(Groups(*model, options.learning_rate, recipe.projector_rate, options.weight_decay),
                      parallel.processes(), parallel.sharing());

  Pictures pictures;
  MVLM_TRY(Prepare(world, config, options, text_options, text, parallel, stop, pictures));
  const auto items = [&](int64_t step) {
    std::vector<TextItem> result;
    for (int64_t i = 0; i < options.batch; ++i) {
      Random random = Random::Stream(options.seed, static_cast<uint64_t>(step * options.batch + i));
      TextItem item;
      item.scene = static_cast<int64_t>(random.Below(static_cast<uint64_t>(pictures.cache->scenes())));
      const world::Scene scene = world.MakeScene(world::Split::kTrain, static_cast<uint64_t>(item.scene));
      item.sample = make(scene, random);
      if (recipe.aligns) item.cells = text.Cells(scene);
      result.push_back(std::move(item));
    }
    return result;
  };
  const FillVisual fill = [&](std::span<const TextItem> part, MicroBatch& batch) {
    std::vector<int64_t> scenes;
    for (const TextItem& item : part) scenes.push_back(item.scene);
    batch.features = pictures.cache->Gather(scenes);
    if (recipe.aligns) FillCells(part, batch);
  };
  const auto validate = [&] { return Validate(model, pictures, text.visual(), parallel); };
  return RunTextStage(recipe.name, model, optimizer, options, text.visual(), items, fill, validate, parallel,
                      stop);
}

}  // namespace

Result<LoopEnd> TrainAlign(const world::World& world, const Tokenizer& tokenizer, const MiniConfig& config,
                           const StageOptions& options, const TextOptions& text_options, StopSignal& stop) {
  const LlmConfig llm = config.LlmWith(tokenizer);
  const WorldText text(world, tokenizer, config.projector().tokens(), llm.context, text_options.kind_weights);
  const MakeSample caption = [&](const world::Scene& scene, Random&) { return text.Caption(scene); };
  const Recipe recipe{"align", "language/checkpoint.pt", true, text_options.projector_rate};
  return Train(recipe, world, text, llm, config, options, text_options, caption, stop);
}

Result<LoopEnd> TrainMultitask(const world::World& world, const Tokenizer& tokenizer,
                               const MiniConfig& config, const StageOptions& options,
                               const TextOptions& text_options, StopSignal& stop) {
  const LlmConfig llm = config.LlmWith(tokenizer);
  const WorldText text(world, tokenizer, config.projector().tokens(), llm.context, text_options.kind_weights);
  const MakeSample dialogue = [&](const world::Scene& scene, Random& random) {
    return text.Asked(scene, text_options.most_rounds, text_options.dialogue_share, random);
  };
  const Recipe recipe{"multitask", "align/checkpoint.pt", false, options.learning_rate};
  return Train(recipe, world, text, llm, config, options, text_options, dialogue, stop);
}

}  // namespace mobilevlm::train
