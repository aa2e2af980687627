#include "train/stages/tower.h"

#include <algorithm>
#include <memory>
#include <mutex>

#include "train/modules/tower_heads.h"
#include "train/parallel.h"
#include "train/prefetch.h"

namespace mobilevlm::train {
namespace {

std::vector<world::Scene> Scenes(const world::World& world, world::Split split, int64_t first,
                                 int64_t count) {
  std::vector<world::Scene> scenes;
  for (int64_t i = 0; i < count; ++i)
    scenes.push_back(world.MakeScene(split, static_cast<uint64_t>(first + i)));
  return scenes;
}

nlohmann::json Report(const SupervisedTowerImpl::Accuracy& a) {
  const auto share = [](double right, double asked) { return asked > 0 ? right / asked : 0.0; };
  return {{"foreground", share(a.cover_right, a.cover_asked)},
          {"background", share(a.background_right, a.background_asked)},
          {"colour", share(a.colour_right, a.colour_asked)},
          {"centre", share(a.centre_right, a.centre_asked)},
          {"character", share(a.character_right, a.character_asked)},
          {"bar_value", share(a.value_right, a.value_asked)}};
}

}  // namespace

Result<LoopEnd> TrainTower(const world::World& world, const MiniConfig& config, const StageOptions& options,
                           StopSignal& stop) {
  torch::manual_seed(options.seed);
  DataParallel parallel(options.threads, options.bfloat16);
  const CoverClasses classes(world.vocabulary());
  SupervisedTower model(config.vision, classes);
  Optimizer optimizer(DecayGroups(*model, "", options.learning_rate, options.weight_decay));

  const int grid = config.vision.grid();
  const int64_t micro = std::min(options.micro_batch, options.batch);
  const size_t micro_batches = static_cast<size_t>((options.batch + micro - 1) / micro);
  std::unique_ptr<Prefetcher<TowerBatch>> batches;
  std::vector<TowerBatch> validation;

  LoopStage stage;
  stage.name = "tower";
  stage.module = model.get();
  stage.optimizer = &optimizer;
  stage.part_names = {"cover", "colour", "centre", "value", "offsets"};
  stage.samples_per_step = static_cast<double>(options.batch);
  stage.start = [&](int64_t first) {
    batches = std::make_unique<Prefetcher<TowerBatch>>(
        first, options.steps, options.loaders, 2 * options.loaders + 2, [&](int64_t step) {
          return MakeTowerBatch(world,
                                Scenes(world, world::Split::kTrain, step * options.batch, options.batch),
                                config.image, grid);
        });
    for (int64_t at = 0; at < options.validation_samples; at += micro) {
      const int64_t count = std::min(micro, options.validation_samples - at);
      validation.push_back(
          MakeTowerBatch(world, Scenes(world, world::Split::kValidation, at, count), config.image, grid));
    }
  };
  stage.step = [&](int64_t) {
    const TowerBatch batch = batches->Next();
    return parallel.Step(optimizer.parameters(), micro_batches, [&](size_t i) {
      const int64_t begin = static_cast<int64_t>(i) * micro;
      return model->Loss(batch.Slice(begin, std::min(begin + micro, options.batch)));
    });
  };
  stage.validate = [&] {
    std::vector<SupervisedTowerImpl::Accuracy> parts(validation.size());
    parallel.ForEach(validation.size(), [&](size_t i) { parts[i] = model->Measure(validation[i]); });
    SupervisedTowerImpl::Accuracy total;
    for (const auto& part : parts) total.Add(part);
    return Report(total);
  };

  return RunLoop(stage, MakeLoopOptions(options, stage.name), stop);
}

}  // namespace mobilevlm::train
