// What a training set consists of: per source and per kind of question, how much, how long, how balanced.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "quality/scan.h"

namespace mobilevlm::quality {

// Median, 95th percentile and largest of some counts.
struct Spread {
  uint32_t median = 0, p95 = 0, most = 0;
};

struct CountedAnswer {
  std::string text;  // as the first sample has it
  uint64_t count = 0;
};

struct GroupStatistics {
  std::string name;
  uint64_t samples = 0;
  uint64_t rounds = 0;  // questions
  uint64_t pictures = 0;
  Spread words, answer_words;  // of a whole conversation, of its answers
  // Of kinds only. The share of the most frequent answers is what a model reaches that never looks.
  uint64_t distinct_answers = 0;
  std::vector<CountedAnswer> top_answers;  // at most 5
  double top_share() const {
    return rounds > 0 && !top_answers.empty()
               ? static_cast<double>(top_answers.front().count) / static_cast<double>(rounds)
               : 0;
  }
};

struct Statistics {
  uint64_t samples = 0, text_only = 0, several_pictures = 0, rounds = 0, words = 0, defects = 0;
  uint64_t distinct_questions = 0, distinct_answers = 0;
  std::vector<GroupStatistics> sources, kinds;  // the largest first
  // [sources, kinds] samples, in the order of the two lists
  std::vector<std::vector<uint64_t>> source_kinds;
  // Samples by the words of their conversation: 1, 2, 3-4, 5-8, ..., doubling.
  std::vector<std::string> bins;
  std::vector<uint64_t> words_with_picture, words_text_only, answer_words;  // [bins]
  std::vector<uint32_t> examples;  // a few samples of every source, by the seed
};

struct StatisticsOptions {
  uint64_t seed = 1;
  size_t examples = 24;
};

Result<Statistics> Describe(const data::Dataset& dataset, const StatisticsOptions& options, const Work& work);

}  // namespace mobilevlm::quality
