#include "train/stages/text_step.h"

#include <algorithm>
#include <utility>

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

Result<LoopEnd> RunTextStage(MobileVlm& model, Optimizer& optimizer, const StageOptions& options,
                             const TextStage& text, DataParallel& parallel, StopSignal& stop) {
  using Step = std::vector<MicroBatch>;
  std::unique_ptr<Prefetcher<Step>> steps;
  int64_t tokens = 0;
  LoopStage stage;
  stage.module = model.get();
  stage.optimizer = &optimizer;
  stage.parallel = &parallel;
  stage.data_fingerprint = text.inputs;
  stage.part_names = {"token_accuracy", "cell_distance", "look_loss"};
  stage.start = [&](int64_t first) {
    steps = std::make_unique<Prefetcher<Step>>(
        first, options.schedule().steps, options.loaders(), 2 * options.loaders() + 2, [&](int64_t step) {
          return CutByLength(text.items(step), options.schedule().micro_batch, text.visual, text.fill,
                             parallel);
        });
  };
  stage.step = [&](int64_t) {
    const Step batches = steps->Next();
    for (const MicroBatch& batch : batches) tokens += batch.text.used;
    return parallel.Step(optimizer.gradients(), batches.size(),
                         [&](size_t i) { return model->Loss(batches[i]); });
  };
  stage.validate = text.validate;
  stage.predict = text.predict;
  stage.take_tokens = [&] { return std::exchange(tokens, 0); };
  stage.take_waited = [&] { return steps->TakeWaitedSeconds(); };
  return RunLoop(stage, {options.directory, options.recipe, parallel.peak_threads()}, stop);
}

}  // namespace mobilevlm::train
