// Samples that say the same twice.
//
// Two samples are exact duplicates if their pictures have the same pixels and their conversations the same
// normalised text; near duplicates if their pictures look the same, their questions have the same normalised
// text and their answers nearly the same. Of each group the first sample stays. Two samples with the same
// picture and question but another answer are a conflict: reported, never dropped.
#pragma once

#include <cstdint>
#include <vector>

#include "quality/picture_catalog.h"

namespace mobilevlm::quality {

struct DuplicateOptions {
  bool pictures = true;  // compare pixels; without, pictures are their paths
  bool near = true;
  int picture_distance = kPictureDistance;  // see LookTheSame
  int answer_distance = 8;                  // bits of SimilarityHash
};

enum class Verdict : uint8_t { kKept, kExact, kNear };

struct DuplicateReport {
  std::vector<Verdict> verdicts;  // [samples]
  std::vector<uint32_t> same_as;  // [samples] the sample that stays in the stead of a dropped one
  uint64_t exact = 0, near = 0;   // samples dropped
  // Pictures, each counted once however many samples show it.
  uint64_t pictures = 0;         // files
  uint64_t same_pictures = 0;    // of these, with the pixels of another one
  uint64_t near_pictures = 0;    // of these, looking like another one
  uint64_t unread_pictures = 0;  // samples whose pictures cannot be read; compared by path
  // Pairs for looking at, at most kShown of each.
  static constexpr size_t kShown = 50;
  struct Pair {
    uint32_t first = 0, second = 0;
  };
  std::vector<Pair> near_pairs;  // near duplicates
  uint64_t conflicts = 0;
  std::vector<Pair> conflict_pairs;  // same picture and question, another answer
  // Answers of eight words or more that stand, nearly word for word, under another sample.
  uint64_t long_answers = 0, repeated_answers = 0;
  std::vector<Pair> repeated_pairs;
};

Result<DuplicateReport> FindDuplicates(const data::Dataset& dataset, const DuplicateOptions& options,
                                       const Work& work);

}  // namespace mobilevlm::quality
