#include "train/mini.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "base/atomic_file.h"
#include "base/directories.h"
#include "train/data/scene_mix.h"
#include "train/export_hf.h"
#include "train/loop.h"
#include "train/mini_start.h"
#include "train/parallel/process_group.h"
#include "train/recipe/read_recipe.h"
#include "train/run.h"
#include "train/shared_stages.h"
#include "train/stage_inputs.h"
#include "train/stages/language.h"
#include "train/stages/tower.h"
#include "train/stages/vision_language.h"
#include "train/stop_signal.h"
#include "train/tokenizer_training.h"
#include "world/world.h"

namespace mobilevlm::train {
namespace {

// One per line; what --quick changes.
const char* const kQuick[] = {"mini.vision_hidden=32",
                              "mini.vision_intermediate=64",
                              "mini.vision_heads=2",
                              "mini.vision_layers=2",
                              "mini.hidden=64",
                              "mini.intermediate=128",
                              "mini.layers=2",
                              "mini.heads=2",
                              "mini.head_dim=32",
                              "mini.scenes=64",
                              "mini.questions_per_kind=4",
                              "mini.tokenizer_scenes=200",
                              "schedule.steps=40",
                              "schedule.warmup_steps=5",
                              "schedule.batch=8",
                              "schedule.micro_batch=4",
                              "optimizer.learning_rate=3e-3",
                              "run.log_every=10",
                              "run.validate_every=40",
                              "run.validation_samples=16"};

StageOptions Options(const MiniPlan& plan, const std::string& stage) {
  StageOptions options{plan.directory, plan.recipes.at(stage), plan.parallel};
  ApplyRecipe(options.recipe, options.parallel);
  return options;
}

std::optional<DType> ParseExportType(const std::string& name) {
  if (name == "f32") return DType::kF32;
  if (name == "f16") return DType::kF16;
  if (name == "bf16") return DType::kBF16;
  return std::nullopt;
}

// Is this stage, and the one it started from, made from what is there now?
Status CheckMadeFrom(const MiniPlan& plan, const std::string& stage) {
  const bool asks = stage == "multitask";
  const std::string& from = plan.recipes.at("multitask").mini.from;
  if (stage == "align" || (asks && from == "align"))
    MVLM_TRY(CheckInputs(plan.directory, "align", "language"));
  if (asks) MVLM_TRY(CheckInputs(plan.directory, stage, from));
  return {};
}

Result<LoopEnd> RunStage(const std::string& name, const world::World& world, const MiniPlan& plan,
                         StopSignal& stop) {
  ProcessGroup& processes = *plan.parallel.processes;
  if (name == "export") {
    const std::optional<DType> type = ParseExportType(plan.export_type);
    if (!type) return Fail("no export type '{}'", plan.export_type);
    const MiniConfig config = MiniConfig::Of(plan.recipes.at("multitask"));
    const auto write = [&]() -> Status {
      MVLM_TRY(CheckMadeFrom(plan, LastStage(plan.directory)));
      return ExportMini(plan.directory, config, *type);
    };
    MVLM_TRY(processes.Together(processes.first() ? write() : Status{}));
    return LoopEnd::kFinished;
  }
  const StageOptions options = Options(plan, name);
  const MiniConfig config = MiniConfig::Of(options.recipe);
  if (name == "tower") return TrainTower(world, config, options, stop);
  const TokenizerOptions tokenizer_options{.vocabulary = config.llm.vocab,
                                           .scenes = static_cast<int>(options.mini().tokenizer_scenes),
                                           .seed = options.seed()};
  const auto make_tokenizer = [&]() -> Status {
    if (const std::string& start = options.recipe.model.start; !start.empty()) {
      MVLM_ASSIGN(const MiniStart model, ReadMiniStart(start, config));
      MVLM_TRY(MakeDirectories(plan.directory));
      MVLM_TRY(WriteFileAtomically(plan.directory + "/tokenizer.model", model.tokenizer_model));
    }
    MVLM_TRY(TrainTokenizer(world, tokenizer_options, plan.directory));
    return {};
  };
  MVLM_TRY(processes.OncePerMachine(make_tokenizer));
  MVLM_ASSIGN(const Tokenizer tokenizer, TrainTokenizer(world, tokenizer_options, plan.directory));
  if (name == "language") return TrainLanguage(world, tokenizer, config, options, stop);
  if (name == "align") return TrainAlign(world, tokenizer, config, options, stop);
  return TrainMultitask(world, tokenizer, config, options, stop);
}

// A mistyped kind would silently train another mix.
Status CheckKindWeights(const std::map<std::string, double>& weights) {
  const std::vector<std::string>& kinds = world::Kinds();
  for (const auto& [kind, weight] : weights) {
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) {
      return Fail("mini.kind_weights: wanted one of {}, found '{}'", fmt::join(kinds, ", "), kind);
    }
    if (!(weight >= 0 && std::isfinite(weight))) {
      return Fail("mini.kind_weights: wanted a number of at least 0 for {}, found {}", kind, weight);
    }
  }
  return {};
}

// Keys that only stages with a projector heed would silently change nothing elsewhere.
Status CheckTrainedParts(const std::string& stage, const std::vector<std::string>& parts) {
  const bool has_projector = stage == "align" || stage == "multitask";
  if (!has_projector && !parts.empty()) {
    return Fail("model.train: the mini stage {} trains all it has; name align or multitask (--set align:...)",
                stage);
  }
  return {};
}

bool IsNamed(const std::vector<std::string>& stages, const std::string& stage) {
  return stages.empty() || std::find(stages.begin(), stages.end(), stage) != stages.end();
}

// Whether this stage is to be left out, and says why. A finished stage that does not fit those before it is
// an Error.
Result<bool> IsDone(const MiniPlan& plan, const std::string& name) {
  ProcessGroup& processes = *plan.parallel.processes;
  const auto recipe = plan.recipes.find(name);
  if (recipe == plan.recipes.end()) return false;  // export
  const std::string directory = plan.directory + "/" + name;
  const bool shared = processes.Agree(IsShared(directory) ? 1 : 0) != 0;
  const bool finished =
      shared || processes.Agree(StageFinished(directory, recipe->second.schedule.steps) ? 1 : 0) != 0;
  if (finished) MVLM_TRY(processes.Together(CheckMadeFrom(plan, name)));
  if (finished && processes.first()) {
    fmt::print(stderr, "{}: {}\n", name, shared ? "another run's" : "finished already");
  }
  return finished;
}

}  // namespace

const std::vector<std::string>& MiniPlan::StageNames() {
  static const std::vector<std::string> names{"tower", "language", "align", "multitask", "export"};
  return names;
}

Result<MiniPlan> MiniPlan::Read(const std::vector<std::string>& overrides, bool quick) {
  MiniPlan plan;
  for (const std::string& stage : StageNames()) {
    if (stage == "export") continue;
    std::vector<std::string> own;
    if (quick) own.assign(std::begin(kQuick), std::end(kQuick));
    for (const std::string& assignment : overrides) {
      const size_t colon = assignment.substr(0, assignment.find('=')).find(':');
      const std::string of = colon == std::string::npos ? stage : assignment.substr(0, colon);
      if (std::find(StageNames().begin(), StageNames().end(), of) == StageNames().end()) {
        return Fail("--set: no stage '{}'; wanted one of {}", of, fmt::join(StageNames(), ", "));
      }
      if (of == stage) own.push_back(colon == std::string::npos ? assignment : assignment.substr(colon + 1));
    }
    MVLM_ASSIGN(const std::string path, FindRecipe("mini-" + stage));
    MVLM_ASSIGN(plan.recipes[stage], ReadRecipe(path, own));
    MVLM_TRY(CheckKindWeights(plan.recipes[stage].mini.kind_weights));
    MVLM_TRY(SceneMix::Check(plan.recipes[stage].mini.scene_shares, stage == "tower"));
    MVLM_TRY(CheckTrainedParts(stage, plan.recipes[stage].model.train));
    MVLM_TRY(MiniConfig::Of(plan.recipes[stage]).Check());
  }
  return plan;
}

Status RunMini(const MiniPlan& requested, const std::vector<std::string>& stages) {
  MiniPlan plan = requested;
  std::unique_ptr<ProcessGroup> alone;
  if (plan.parallel.processes == nullptr) {
    alone = ProcessGroup::Alone();
    plan.parallel.processes = alone.get();
  }
  ProcessGroup& processes = *plan.parallel.processes;
  if (IsNamed(stages, "export")) {  // before anything is trained
    MVLM_TRY(CheckExport(MiniConfig::Of(plan.recipes.at("multitask")).projector()));
  }
  StopSignal stop;
  MVLM_ASSIGN(const world::World world,
              world::World::Create({.side = static_cast<int>(plan.recipes.at("tower").mini.image_size)}));
  return ThrowingNothing("mini", [&]() -> Status {
    if (!plan.from.empty()) {
      MVLM_TRY(processes.OncePerMachine([&] { return ShareStages(plan.from, plan.directory); }));
    }
    for (const std::string& name : MiniPlan::StageNames()) {
      if (!IsNamed(stages, name)) continue;
      MVLM_ASSIGN(const bool done, IsDone(plan, name));
      if (done) continue;
      MVLM_ASSIGN(const LoopEnd end, RunStage(name, world, plan, stop));
      if (end == LoopEnd::kStopped) return {};
    }
    return {};
  });
}

}  // namespace mobilevlm::train
