// One annotation file out of several: weighted, filtered, balanced, shuffled.
//
// Everything is decided from the index and the normalised answers before anything is written, by the seed
// alone: the same call writes the same file.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "quality/scan.h"

namespace mobilevlm::quality {

struct MixOptions {
  uint64_t seed = 1;
  bool shuffle = true;
  uint64_t limit = 0;  // at most so many samples; 0: all
  // Times the weight of the file: 0 leaves out, 0.5 takes every other, 2 repeats.
  std::map<std::string, double> source_weights = {};
  std::map<std::string, double> kind_weights = {};
  uint32_t least_answer_words = 0;
  uint32_t most_words = 0;  // of the whole conversation; 0: no limit
  // Samples of one kind with the same normalised answers that are written, repeated ones too; 0: no limit.
  uint64_t most_same_answer = 0;
};

struct MixReport {
  uint64_t read = 0, written = 0;
  uint64_t defects = 0, by_length = 0;             // samples left out
  uint64_t by_answer = 0;                          // left out of what the weights would write
  std::map<std::string, uint64_t> sources, kinds;  // of what was written
};

// Samples with a defect are left out. A source or kind that no file has is an Error.
Result<MixReport> Mix(const data::Dataset& dataset, const MixOptions& options, const std::string& out,
                      const Work& work);

}  // namespace mobilevlm::quality
