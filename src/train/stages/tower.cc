#include "train/stages/tower.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <type_traits>

#include "train/checkpoint.h"
#include "train/data/scene_mix.h"
#include "train/mini_start.h"
#include "train/modules/tower_heads.h"
#include "train/parallel/data_parallel.h"
#include "train/prefetch.h"

namespace mobilevlm::train {
namespace {

// The scenes [first, first + count) that `make` returns by number, in batches of `micro`; those that another
// process owns stay empty.
template <typename Make>
std::vector<TowerBatch> OwnedBatches(const world::World& world, const Make& make, const MiniConfig& config,
                                     const DataParallel& parallel, int64_t first, int64_t count,
                                     int64_t micro) {
  std::vector<TowerBatch> batches;
  for (int64_t begin = 0; begin < count; begin += micro) {
    TowerBatch& batch = batches.emplace_back();
    if (!parallel.Owns(batches.size() - 1)) continue;
    std::vector<world::Scene> scenes;
    for (int64_t i = begin; i < std::min(begin + micro, count); ++i)
      scenes.push_back(make(static_cast<uint64_t>(first + i)));
    batch = MakeTowerBatch(world, scenes, config.image, config.vision.grid());
  }
  return batches;
}

SupervisedTowerImpl::Accuracy SumOverProcesses(SupervisedTowerImpl::Accuracy accuracy,
                                               ProcessGroup& processes) {
  static_assert(std::is_trivially_copyable_v<SupervisedTowerImpl::Accuracy>);  // a row of counts
  std::vector<double> counts(sizeof(accuracy) / sizeof(double));
  std::memcpy(counts.data(), &accuracy, sizeof(accuracy));
  processes.Sum(counts);
  std::memcpy(static_cast<void*>(&accuracy), counts.data(), sizeof(accuracy));
  return accuracy;
}

nlohmann::json Report(const SupervisedTowerImpl::Accuracy& a) {
  const auto share = [](double right, double asked) { return asked > 0 ? right / asked : 0.0; };
  return {{"foreground", share(a.cover_right, a.cover_asked)},
          {"background", share(a.background_right, a.background_asked)},
          {"colour", share(a.colour_right, a.colour_asked)},
          {"centre", share(a.centre_right, a.centre_asked)},
          {"character", share(a.character_right, a.character_asked)},
          {"bar_value", share(a.value_right, a.value_asked)},
          {"number", share(a.number_right, a.number_asked)}};
}

}  // namespace

Result<LoopEnd> TrainTower(const world::World& world, const MiniConfig& config, const StageOptions& options,
                           StopSignal& stop) {
  torch::manual_seed(options.seed());
  DataParallel parallel(options.parallel);
  const CoverClasses classes(world.vocabulary());
  SupervisedTower model(config.vision, classes);
  if (const std::string& start = options.recipe.model.start; !start.empty()) {
    MVLM_ASSIGN(const MiniStart weights, ReadMiniStart(start, config));
    MVLM_TRY(LoadModule(*model->tower(), weights.tower, ""));
  }
  Optimizer optimizer(MakeGroups(*model, options.recipe.optimizer), AdamOptions::Of(options.recipe.optimizer),
                      parallel.processes(), parallel.sharing());

  const SceneMix scenes(world, options.mini().scene_shares);
  const int64_t micro = std::min(options.schedule().micro_batch, options.schedule().batch);
  std::unique_ptr<Prefetcher<std::vector<TowerBatch>>> batches;
  std::vector<TowerBatch> validation;

  LoopStage stage;
  stage.module = model.get();
  stage.optimizer = &optimizer;
  stage.parallel = &parallel;
  stage.part_names = {"cover", "colour", "centre", "value", "offsets", "shares"};
  stage.start = [&](int64_t first) {
    batches = std::make_unique<Prefetcher<std::vector<TowerBatch>>>(
        first, options.schedule().steps, options.loaders(), 2 * options.loaders() + 2, [&](int64_t step) {
          return OwnedBatches(
              world, [&](uint64_t scene) { return scenes.Make(scene); }, config, parallel,
              step * options.schedule().batch, options.schedule().batch, micro);
        });
    validation = OwnedBatches(
        world, [&](uint64_t scene) { return world.MakeScene(world::Split::kValidation, scene); }, config,
        parallel, 0, options.recipe.run.validation_samples, micro);
  };
  stage.step = [&](int64_t) {
    const std::vector<TowerBatch> step = batches->Next();
    return parallel.Step(optimizer.gradients(), step.size(), [&](size_t i) { return model->Loss(step[i]); });
  };
  stage.take_waited = [&] { return batches->TakeWaitedSeconds(); };
  stage.validate = [&] {
    std::vector<SupervisedTowerImpl::Accuracy> parts(validation.size());
    parallel.ForEachOwned(validation.size(), [&](size_t i) { parts[i] = model->Measure(validation[i]); });
    SupervisedTowerImpl::Accuracy total;
    for (const auto& part : parts) total.Add(part);
    return Report(SumOverProcesses(total, parallel.processes()));
  };

  return RunLoop(stage, {options.directory, options.recipe, parallel.peak_threads()}, stop);
}

}  // namespace mobilevlm::train
