#include "train/stages/vision_language.h"

#include <cmath>

#include "image/png_write.h"
#include "train/checkpoint.h"
#include "train/data/feature_cache.h"
#include "train/mini_start.h"
#include "train/stage_inputs.h"
#include "train/stages/predict.h"
#include "train/stages/text_step.h"
#include "train/stages/validation.h"
#include "train/start_model.h"

namespace mobilevlm::train {
namespace {

// Everything both stages need besides the model.
struct Pictures {
  ClipVisionTower tower{nullptr};
  std::optional<FeatureCache> cache;
  SeenSet validation;
};

Status Prepare(const SceneMix& scenes, const MiniConfig& config, const StageOptions& options,
               const WorldText& text, DataParallel& parallel, StopSignal& stop, Pictures& pictures) {
  pictures.tower = ClipVisionTower(config.vision);
  {
    MVLM_ASSIGN(const TensorFile weights, ReadStageWeights(options.directory + "/tower"));
    const Status loaded = LoadModule(*pictures.tower, weights.tensors, "tower.");
    if (!loaded) return Context(loaded.error(), "{}", weights.file.path());
  }
  MVLM_ASSIGN(pictures.cache, FeatureCache::Open(options.directory + "/features", scenes, config.image,
                                                 pictures.tower, options.mini().scenes, parallel, stop));
  pictures.validation = SeenSet::Encode(
      MakeValidationSet(scenes.world(), text, options.mini().questions_per_kind, options.seed()),
      scenes.world(), config.image, pictures.tower, parallel);
  return {};
}

nlohmann::json Validate(MobileVlm& model, const SeenSet& seen, int visual, DataParallel& parallel) {
  nlohmann::json report = ExactMatchPerKind(*model, seen.set, visual, seen.Pictures(), parallel);
  report["blank"] = ExactMatchPerKind(*model, seen.set, visual, seen.Blank(), parallel);
  return report;
}

// Answers to the first question of each kind, with their pictures.
std::vector<SamplePrediction> Predict(MobileVlm& model, const world::World& world, const Tokenizer& tokenizer,
                                      const SeenSet& seen, int64_t most) {
  std::vector<SamplePrediction> samples;
  for (size_t k = 0; k < seen.set.kinds.size() && static_cast<int64_t>(k) < most; ++k) {
    const ValidationSet::Kind& kind = seen.set.kinds[k];
    const Answered answered =
        AnswerSample(*model, tokenizer, kind.samples[0], seen.features[k].slice(0, 0, 1).to(torch::kFloat32));
    const auto png = EncodePng(world.Render(kind.scenes[0]).picture);
    samples.push_back({kind.questions[0], answered.wanted, answered.found, png.value_or("")});
  }
  return samples;
}

using MakeSample = std::function<TokenSample(const world::Scene& scene, Random& random)>;

struct Plan {
  std::string from;  // stage of the weights to start with
  bool aligns;       // that stage has no projector yet; the cells' words are shown beside the features
  MakeSample make;
};

// What the language stage learned about the places of its cells [cells, hidden], for another square number of
// places on the same picture: each is the mean of the cells it covers, or is covered by.
torch::Tensor PlacesOfGrid(const torch::Tensor& places, int64_t grid) {
  const int64_t known = std::lround(std::sqrt(static_cast<double>(places.size(0))));
  if (known == grid) return places;
  const torch::Tensor map = places.view({1, known, known, -1}).permute({0, 3, 1, 2});
  return torch::adaptive_avg_pool2d(map, {grid, grid}).flatten(2).squeeze(0).t().contiguous();
}

// The model with the weights of the stage before.
Result<MobileVlm> MakeModel(const Plan& plan, const LlmConfig& llm, const MiniConfig& config,
                            const StageOptions& options) {
  MobileVlmConfig sizes;
  sizes.llm = llm;
  sizes.projector = config.projector();
  sizes.cells = plan.aligns ? config.projector().tokens() : 0;
  sizes.cell_loss = options.mini().cell_loss;
  sizes.look_loss = options.mini().look_loss;
  const bool all_moves = options.recipe.model.train.empty();
  sizes.matrices.still = !all_moves && !IsTrained(options.recipe, "model.norm.weight");
  MobileVlm model(sizes);
  if (!all_moves) Freeze(*model, options.recipe);
  MVLM_ASSIGN(TensorFile start, ReadStageWeights(options.directory + "/" + plan.from));
  if (plan.aligns) {
    if (const auto places = start.tensors.find("cell_places"); places != start.tensors.end()) {
      places->second = PlacesOfGrid(places->second, config.projector().token_grid());
    }
    if (const std::string& from = options.recipe.model.start; !from.empty()) {
      MVLM_ASSIGN(MiniStart before, ReadMiniStart(from, config));
      start.tensors.merge(before.rest);  // its projector; the decoder is there already
    }
    start.tensors.merge(ModuleTensors(*model, ""));  // else the projector stays as initialised
    for (auto& item : model->named_parameters()) {
      if (item.key() == "cell_places") item.value().requires_grad_(false);  // learned before
    }
  }
  if (auto status = LoadModule(*model, start.tensors, ""); !status) {
    return Context(status.error(), "{}", start.file.path());
  }
  return model;
}

Result<LoopEnd> Train(const Plan& plan, const world::World& world, const Tokenizer& tokenizer,
                      const WorldText& text, const MiniConfig& config, const StageOptions& options,
                      StopSignal& stop) {
  torch::manual_seed(options.seed());
  DataParallel parallel(options.parallel);
  MVLM_ASSIGN(MobileVlm model, MakeModel(plan, config.LlmWith(tokenizer), config, options));
  const Recipe::Optimizer& adam = options.recipe.optimizer;
  Optimizer optimizer(MakeGroups(*model, adam), AdamOptions::Of(adam), parallel.processes(),
                      parallel.sharing());

  const SceneMix scenes(world, options.mini().scene_shares);
  Pictures pictures;
  MVLM_TRY(Prepare(scenes, config, options, text, parallel, stop, pictures));
  TextStage stage;
  MVLM_ASSIGN(stage.inputs, StageInputs(options.directory, plan.from));
  stage.visual = text.visual();
  stage.items = [&](int64_t step) {
    std::vector<TextItem> result;
    for (int64_t i = 0; i < options.schedule().batch; ++i) {
      Random random =
          Random::Stream(options.seed(), static_cast<uint64_t>(step * options.schedule().batch + i));
      TextItem item;
      item.scene = static_cast<int64_t>(random.Below(static_cast<uint64_t>(pictures.cache->scenes())));
      const world::Scene scene = scenes.Make(static_cast<uint64_t>(item.scene));
      item.sample = plan.make(scene, random);
      if (plan.aligns) item.cells = text.Cells(scene);
      result.push_back(std::move(item));
    }
    return result;
  };
  stage.fill = [&](std::span<const TextItem> part, MicroBatch& batch) {
    std::vector<int64_t> numbers;
    for (const TextItem& item : part) numbers.push_back(item.scene);
    batch.features = pictures.cache->Gather(numbers);
    if (plan.aligns) FillCells(part, batch);
  };
  stage.validate = [&] { return Validate(model, pictures.validation, text.visual(), parallel); };
  stage.predict = [&] {
    return Predict(model, world, tokenizer, pictures.validation, options.recipe.run.samples);
  };
  return RunTextStage(model, optimizer, options, stage, parallel, stop);
}

}  // namespace

Result<LoopEnd> TrainAlign(const world::World& world, const Tokenizer& tokenizer, const MiniConfig& config,
                           const StageOptions& options, StopSignal& stop) {
  const WorldText text(world, tokenizer, config.projector().tokens(), config.llm.context,
                       options.mini().kind_weights);
  const Plan plan{"language", true, [&](const world::Scene& scene, Random&) { return text.Caption(scene); }};
  return Train(plan, world, tokenizer, text, config, options, stop);
}

Result<LoopEnd> TrainMultitask(const world::World& world, const Tokenizer& tokenizer,
                               const MiniConfig& config, const StageOptions& options, StopSignal& stop) {
  const WorldText text(world, tokenizer, config.projector().tokens(), config.llm.context,
                       options.mini().kind_weights);
  const Recipe::Mini& mini = options.mini();
  const Plan plan{mini.from, mini.from == "language", [&](const world::Scene& scene, Random& random) {
                    return text.Asked(scene, static_cast<int>(mini.most_rounds), mini.dialogue_share, random);
                  }};
  return Train(plan, world, tokenizer, text, config, options, stop);
}

}  // namespace mobilevlm::train
