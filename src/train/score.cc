#include "train/score.h"

#include <filesystem>

#include "base/read_file.h"
#include "train/checkpoint.h"
#include "train/recipe/read_recipe.h"
#include "train/runlog/checkpoint_directory.h"
#include "train/stages/validation.h"
#include "train/tokenizer_training.h"

namespace mobilevlm::train {
namespace {

constexpr uint64_t kLargestRecipe = 1 << 20;

Result<Recipe> TrainedRecipe(const std::string& checkpoint) {
  const std::string path = checkpoint + "/recipe.toml";
  MVLM_ASSIGN(const std::string text, ReadFile(path, kLargestRecipe));
  MVLM_ASSIGN(const Recipe recipe, ParseRecipe(text, path));
  if (recipe.kind != "mini-multitask") {
    return Fail("{}: kind: wanted mini-multitask, found {}", path, recipe.kind);
  }
  if (Status fits = MiniConfig::Of(recipe).Check(); !fits) return Context(fits.error(), "{}", path);
  return recipe;
}

// By align, if the run has it, and multitask.
Result<int64_t> SamplesSeen(const std::string& run, const Recipe& recipe) {
  std::vector<std::string> stages{"/multitask"};
  if (recipe.mini.from == "align") stages.emplace_back("/align");
  int64_t samples = 0;
  for (const std::string& stage : stages) {
    const auto latest = LatestCheckpoint(run + stage);
    if (!latest) return Fail("{}{}: no checkpoint", run, stage);
    MVLM_ASSIGN(const nlohmann::json state, ReadState(latest->path));
    samples += state.value("samples_seen", int64_t{0});
  }
  return samples;
}

Result<MobileVlm> LoadModel(const MiniConfig& config, const Tokenizer& tokenizer, const std::string& path) {
  MobileVlmConfig sizes;
  sizes.llm = config.LlmWith(tokenizer);
  sizes.projector = config.projector();
  MobileVlm model(sizes);
  MVLM_ASSIGN(const TensorFile weights, ReadTensors(path));
  if (Status loaded = LoadModule(*model, weights.tensors, ""); !loaded) {
    return Context(loaded.error(), "{}", path);
  }
  return model;
}

Result<ClipVisionTower> LoadTower(const MiniConfig& config, const std::string& run) {
  ClipVisionTower tower(config.vision);
  MVLM_ASSIGN(const TensorFile weights, ReadStageWeights(run + "/tower"));
  if (Status loaded = LoadModule(*tower, weights.tensors, "tower."); !loaded) {
    return Context(loaded.error(), "{}", weights.file.path());
  }
  return tower;
}

int64_t ProjectorParameters(const MobileVlmImpl& model) {
  int64_t count = 0;
  for (const auto& item : model.named_parameters()) {
    if (PartOf(item.key()) == ModelPart::kProjector) count += item.value().numel();
  }
  return count;
}

std::string Digits(const std::vector<uint8_t>& matches) {
  std::string digits;
  for (const uint8_t match : matches) digits += match != 0 ? '1' : '0';
  return digits;
}

Result<nlohmann::ordered_json> Score(const ScoreOptions& options) {
  const std::string stage = options.run + "/multitask";
  const auto latest = LatestCheckpoint(stage);
  if (!latest) return Fail("{}: no checkpoint; wanted a run of `mobilevlm-train mini`", stage);
  MVLM_ASSIGN(const Recipe recipe, TrainedRecipe(latest->path));
  const MiniConfig config = MiniConfig::Of(recipe);
  MVLM_ASSIGN(const Tokenizer tokenizer, LoadTokenizer(options.run + "/tokenizer.model"));
  MVLM_ASSIGN(MobileVlm model, LoadModel(config, tokenizer, latest->path + "/model.safetensors"));
  MVLM_ASSIGN(ClipVisionTower tower, LoadTower(config, options.run));
  MVLM_ASSIGN(const world::World world, world::World::Create({.side = config.image.image_size}));
  MVLM_ASSIGN(const int64_t samples, SamplesSeen(options.run, recipe));

  DataParallel parallel(options.threads, /*bfloat16=*/false);
  const WorldText text(world, tokenizer, config.projector().tokens(), config.llm.context, {});
  const SeenSet seen =
      SeenSet::Encode(MakeTestSet(world, text, options.per_kind), world, config.image, tower, parallel);
  const auto right = ExactMatches(*model, seen.set, text.visual(), seen.Pictures(), parallel);
  const auto blank = ExactMatches(*model, seen.set, text.visual(), seen.Blank(), parallel);
  nlohmann::ordered_json kinds;
  for (size_t k = 0; k < seen.set.kinds.size(); ++k) {
    kinds[seen.set.kinds[k].name] = {{"right", Digits(right[k])}, {"blank", Digits(blank[k])}};
  }
  return nlohmann::ordered_json{{"split", "test"},
                                {"per_kind", options.per_kind},
                                {"step", latest->step},
                                {"samples", samples},
                                {"seed", recipe.run.seed},
                                {"projector", config.projector().name()},
                                {"projector_parameters", ProjectorParameters(*model)},
                                {"tokens", text.visual()},
                                {"kinds", kinds}};
}

}  // namespace

Result<nlohmann::ordered_json> ScoreRun(const ScoreOptions& options) {
  try {
    return Score(options);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    return Fail("{}: {}", options.run, error.what());
  }
}

}  // namespace mobilevlm::train
