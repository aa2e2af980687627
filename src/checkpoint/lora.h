// A LoRA adapter as PEFT saves it: adapter_config.json and adapter_model.bin or .safetensors, and beside them
// LLaVA's non_lora_trainables.bin with what was trained whole (the projector). Merged, a matrix is
// W + scale * B A, with scale = lora_alpha / r (or / sqrt(r) with use_rslora).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/weight_files.h"

namespace mobilevlm {

struct LoraPair {
  const NamedTensor* a = nullptr;  // [rank, columns]
  const NamedTensor* b = nullptr;  // [rows, rank]
  double scale = 0;
};

class LoraAdapter {
 public:
  static bool IsIn(const std::string& directory);  // adapter_config.json is there

  // Variants that add something else (DoRA, trained biases, ranks by pattern) are refused by name.
  static Result<LoraAdapter> Open(const std::string& directory);

  // The pair that changes this matrix; nullptr if none does. Names are official ones ("model.layers.0...").
  const LoraPair* FindPair(std::string_view name) const;
  const std::map<std::string, LoraPair, std::less<>>& pairs() const { return pairs_; }

  // What replaces this tensor; nullptr if nothing does. `replaced` has all of them.
  struct Replacement {
    const NamedTensor* tensor = nullptr;
    const WeightFiles* files = nullptr;
  };
  const Replacement* FindReplacement(std::string_view name) const;
  const std::map<std::string, Replacement, std::less<>>& replacements() const { return replacements_; }

  const std::string& path() const { return path_; }

 private:
  explicit LoraAdapter(std::string path) : path_(std::move(path)) {}
  Status ReadWeights();
  Status ReadReplacements();
  Status CheckPairs(int wanted_rank) const;

  std::string path_;
  std::vector<WeightFiles> files_;  // the adapter's, and non_lora_trainables.bin
  std::map<std::string, LoraPair, std::less<>> pairs_;
  std::map<std::string, Replacement, std::less<>> replacements_;
};

// scale * B A of one matrix, row by row, in float64. Holds A only: B is read as it is asked for.
class LoraDelta {
 public:
  explicit LoraDelta(const LoraPair& pair);

  // Adds elements [first, first + count) of the matrix, which lie in one row, to `values`.
  void AddTo(uint64_t first, size_t count, float* values) const;

 private:
  const LoraPair& pair_;
  size_t rank_;
  size_t columns_;
  std::vector<double> a_;  // [rank, columns]
};

}  // namespace mobilevlm
