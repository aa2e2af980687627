#include "train/mini.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "train/export_hf.h"
#include "train/loop.h"
#include "train/modules/functional.h"
#include "train/parallel/process_group.h"
#include "train/stages/language.h"
#include "train/stages/tower.h"
#include "train/stages/vision_language.h"
#include "train/stop_signal.h"
#include "train/tokenizer_training.h"
#include "world/world.h"

namespace mobilevlm::train {
namespace {

StageOptions Complete(const MiniPlan& plan, StageOptions stage) {
  stage.directory = plan.directory;
  stage.parallel = plan.parallel;
  stage.loaders = plan.loaders;
  stage.seed = plan.seed;
  stage.checkpoint_minutes = plan.checkpoint_minutes;
  stage.parallel.bfloat16 = plan.precision == "bfloat16" || (plan.precision == "auto" && HasBfloat16());
  if (plan.micro_batch > 0) stage.micro_batch = plan.micro_batch;
  if (plan.steps > 0) stage.steps = plan.steps;
  if (plan.log_every > 0) stage.log_every = plan.log_every;
  if (plan.validate_every > 0) stage.validate_every = plan.validate_every;
  return stage;
}

std::optional<DType> ParseExportType(const std::string& name) {
  if (name == "f32") return DType::kF32;
  if (name == "f16") return DType::kF16;
  if (name == "bf16") return DType::kBF16;
  return std::nullopt;
}

Result<LoopEnd> RunStage(const std::string& name, const world::World& world, const MiniPlan& plan,
                         StopSignal& stop) {
  ProcessGroup& processes = *plan.parallel.processes;
  if (name == "export") {
    const std::optional<DType> type = ParseExportType(plan.export_type);
    if (!type) return Fail("no export type '{}'", plan.export_type);
    if (processes.first()) MVLM_TRY(ExportMini(plan.directory, plan.config, *type));
    processes.Barrier();
    return LoopEnd::kFinished;
  }
  if (name == "tower") return TrainTower(world, plan.config, Complete(plan, plan.tower), stop);
  const TokenizerOptions tokenizer_options{
      .vocabulary = plan.config.llm.vocab, .scenes = plan.tokenizer_scenes, .seed = plan.seed};
  const auto make_tokenizer = [&]() -> Status {
    MVLM_TRY(TrainTokenizer(world, tokenizer_options, plan.directory));
    return {};
  };
  MVLM_TRY(processes.OncePerMachine(make_tokenizer));
  MVLM_ASSIGN(const Tokenizer tokenizer, TrainTokenizer(world, tokenizer_options, plan.directory));
  if (name == "language") {
    return TrainLanguage(world, tokenizer, plan.config, Complete(plan, plan.language), plan.text, stop);
  }
  if (name == "align") {
    return TrainAlign(world, tokenizer, plan.config, Complete(plan, plan.align), plan.text, stop);
  }
  if (name == "multitask") {
    return TrainMultitask(world, tokenizer, plan.config, Complete(plan, plan.multitask), plan.text, stop);
  }
  return Fail("no stage '{}'", name);
}

// A mistyped kind would silently train another mix.
Status CheckKindWeights(const std::map<std::string, double>& weights) {
  const std::vector<std::string>& kinds = world::Kinds();
  for (const auto& [kind, weight] : weights) {
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) {
      return Fail("kind weights: wanted one of {}, found '{}'", fmt::join(kinds, ", "), kind);
    }
    if (!(weight >= 0 && std::isfinite(weight))) {
      return Fail("kind weights: wanted a number of at least 0 for {}, found {}", kind, weight);
    }
  }
  return {};
}

}  // namespace

const std::vector<std::string>& MiniPlan::StageNames() {
  static const std::vector<std::string> names{"tower", "language", "align", "multitask", "export"};
  return names;
}

MiniPlan MiniPlan::Quick() {
  MiniPlan plan;
  plan.config.vision.hidden = 32;
  plan.config.vision.intermediate = 64;
  plan.config.vision.heads = 2;
  plan.config.vision.stored_layers = plan.config.vision.used_layers = 2;
  plan.config.llm.hidden = 64;
  plan.config.llm.intermediate = 128;
  plan.config.llm.layers = 2;
  plan.config.llm.heads = plan.config.llm.kv_heads = 2;
  plan.config.llm.head_dim = 32;
  for (StageOptions* stage : {&plan.tower, &plan.language, &plan.align, &plan.multitask}) {
    stage->steps = 40;
    stage->warmup = 5;
    stage->batch = 8;
    stage->micro_batch = 4;
    stage->learning_rate = 3e-3;
    stage->log_every = 10;
    stage->validate_every = 40;
    stage->validation_samples = 16;
  }
  plan.text.scenes = 64;
  plan.text.questions_per_kind = 4;
  plan.tokenizer_scenes = 200;
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
  MVLM_TRY(CheckKindWeights(plan.text.kind_weights));
  StopSignal stop;
  MVLM_ASSIGN(const world::World world, world::World::Create({.side = plan.config.vision.image_size}));
  try {
    for (const std::string& name : MiniPlan::StageNames()) {
      if (!stages.empty() && std::find(stages.begin(), stages.end(), name) == stages.end()) continue;
      if (processes.Agree(StageFinished(plan.directory + "/" + name) ? 1 : 0) != 0) {
        if (processes.first()) fmt::print(stderr, "{}: finished already\n", name);
        continue;
      }
      MVLM_ASSIGN(const LoopEnd end, RunStage(name, world, plan, stop));
      if (end == LoopEnd::kStopped) return {};
    }
  } catch (const PeerLost& lost) {
    return Fail("{}; the last checkpoint is kept, the same command continues from there", lost.what());
  }
  return {};
}

}  // namespace mobilevlm::train
