// What the three text stages share: a step's samples, cut into micro-batches of similar length.
#pragma once

#include <memory>
#include <vector>

#include "train/data/world_text.h"
#include "train/loop.h"
#include "train/mini_config.h"
#include "train/modules/mobilevlm.h"
#include "train/parallel/data_parallel.h"
#include "train/prefetch.h"

namespace mobilevlm::train {

struct TextItem {
  TokenSample sample;
  int64_t scene = 0;                    // index into cached features
  std::vector<std::vector<int>> cells;  // the words of each cell, or none
};

// Fills what stands for the pictures of these items.
using FillVisual = std::function<void(std::span<const TextItem> items, MicroBatch& batch)>;

// Sorts the items by length, longest first, and cuts them every `micro` items. Only those that this process
// owns are filled.
std::vector<MicroBatch> CutByLength(std::vector<TextItem> items, int64_t micro, int visual,
                                    const FillVisual& fill, const DataParallel& parallel);

// Words of cells as embedding-bag input.
void FillCells(std::span<const TextItem> items, MicroBatch& batch);

struct TextStage {
  int visual = 0;                                            // places of a picture
  std::string inputs = {};                                   // StageInputs, of a stage with pictures
  std::function<std::vector<TextItem>(int64_t step)> items;  // a pure function
  FillVisual fill;
  std::function<nlohmann::json()> validate;
  std::function<std::vector<SamplePrediction>()> predict = {};  // or none
};

// Runs the loop of a text stage.
Result<LoopEnd> RunTextStage(MobileVlm& model, Optimizer& optimizer, const StageOptions& options,
                             const TextStage& text, DataParallel& parallel, StopSignal& stop);

}  // namespace mobilevlm::train
