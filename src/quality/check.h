// Is everything there and usable? Conversations (from the index), pictures (decoded), labels (tokenised).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/sequence.h"
#include "quality/picture_catalog.h"

namespace mobilevlm::quality {

struct CheckOptions {
  bool pictures = true;                  // read and decode every picture
  const Tokenizer* tokenizer = nullptr;  // make every sample's labels; null: leave that out
  data::SequenceOptions sequence = {};
};

struct Finding {
  uint32_t sample = 0;
  std::string what;  // "FILE: sample 17 (id a1): no answer: question 1 has no answer"
};

struct CheckReport {
  uint64_t samples = 0, text_only = 0, rounds = 0;
  std::array<uint64_t, static_cast<size_t>(data::Defect::kCount)> defects = {};
  uint64_t dropped_first_turns = 0, placed_pictures = 0;  // usable, but worth knowing
  CatalogReport pictures;
  uint64_t without_labels = 0;  // samples whose labels would all be ignored
  uint64_t cut = 0;             // samples longer than max_tokens
  uint64_t tokens = 0, supervised = 0;
  uint64_t unusable = 0;          // samples that cannot be used, for whatever reason
  std::vector<Finding> findings;  // the first CatalogReport::kListed of them, by number of the sample
};

Result<CheckReport> Check(const data::Dataset& dataset, const CheckOptions& options, const Work& work);

}  // namespace mobilevlm::quality
