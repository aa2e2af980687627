#include "train/stages/text_step.h"

#include <algorithm>

namespace mobilevlm::train {

std::vector<MicroBatch> CutByLength(std::vector<TextItem> items, int64_t micro, int visual,
                                    const FillVisual& fill, const DataParallel& parallel) {
  std::stable_sort(items.begin(), items.end(), [](const TextItem& a, const TextItem& b) {
    return a.sample.ids.size() > b.sample.ids.size();
  });
  std::vector<MicroBatch> batches;
  for (size_t begin = 0; begin < items.size(); begin += static_cast<size_t>(micro)) {
    const size_t count = std::min(static_cast<size_t>(micro), items.size() - begin);
    MicroBatch& batch = batches.emplace_back();
    if (!parallel.Owns(batches.size() - 1)) continue;
    const std::span<const TextItem> part(items.data() + begin, count);
    std::vector<TokenSample> samples;
    for (const TextItem& item : part) samples.push_back(item.sample);
    batch.text = Collate(samples, visual);
    fill(part, batch);
  }
  return batches;
}

void FillCells(std::span<const TextItem> items, MicroBatch& batch) {
  std::vector<int64_t> ids, offsets;
  for (const TextItem& item : items) {
    for (const std::vector<int>& cell : item.cells) {
      offsets.push_back(static_cast<int64_t>(ids.size()));
      ids.insert(ids.end(), cell.begin(), cell.end());
    }
  }
  batch.cell_ids = torch::tensor(ids, torch::kInt64);
  batch.cell_offsets = torch::tensor(offsets, torch::kInt64);
}

Result<LoopEnd> RunTextStage(const std::string& name, MobileVlm& model, Optimizer& optimizer,
                             const StageOptions& options, int visual,
                             const std::function<std::vector<TextItem>(int64_t)>& items,
                             const FillVisual& fill, const std::function<nlohmann::json()>& validate,
                             DataParallel& parallel, StopSignal& stop) {
  using Step = std::vector<MicroBatch>;
  std::unique_ptr<Prefetcher<Step>> steps;
  LoopStage stage;
  stage.name = name;
  stage.module = model.get();
  stage.optimizer = &optimizer;
  stage.processes = &parallel.processes();
  stage.part_names = {"token_accuracy", "cell_distance", "look_loss"};
  stage.samples_per_step = static_cast<double>(options.batch);
  stage.start = [&](int64_t first) {
    steps = std::make_unique<Prefetcher<Step>>(
        first, options.steps, options.loaders, 2 * options.loaders + 2,
        [&](int64_t step) { return CutByLength(items(step), options.micro_batch, visual, fill, parallel); });
  };
  stage.step = [&](int64_t) {
    const Step batches = steps->Next();
    return parallel.Step(optimizer.gradients(), batches.size(),
                         [&](size_t i) { return model->Loss(batches[i]); });
  };
  stage.validate = validate;
  return RunLoop(stage, MakeLoopOptions(options, name), stop);
}

}  // namespace mobilevlm::train
