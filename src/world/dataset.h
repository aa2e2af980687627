// A split of the mini world as files: LLaVA's annotation JSON and one PNG a sample.
//
// DIR/annotations.json is a list of {"id", "image", "conversations": [{"from": "human", "value":
// "<image>\n..."}, {"from": "gpt", "value": ...}], "kind"}; "image" is relative to DIR. The same call
// writes the same bytes. Every file appears complete or not at all.
#pragma once

#include <string>

#include "world/world.h"

namespace mobilevlm::world {

struct Sample {
  Scene scene;
  Question question;
};

// Sample number `index` of a kind: what the exported files, evaluation and tests agree on.
Sample MakeSample(const World& world, Split split, std::string_view kind, uint64_t index);

struct ExportOptions {
  std::string directory;  // created if missing
  Split split = Split::kTest;
  int per_kind = 400;
  int limit = 0;  // at most so many samples in all, kinds in turn; 0 is no limit
};
// Returns the number of samples written.
Result<int> ExportDataset(const World& world, const ExportOptions& options);

// One PNG of rows x columns pictures of the training mix of a split.
Status WriteContactSheet(const World& world, Split split, int rows, int columns, const std::string& path);

// "train", "validation", "test"; another word is an Error.
Result<Split> ParseSplit(std::string_view name);
std::string_view NameOf(Split split);

}  // namespace mobilevlm::world
