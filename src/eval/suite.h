// Runs a suite of questions about pictures through a model and scores the answers by exact match.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "eval/kind_report.h"
#include "mobilevlm/mobilevlm.h"

namespace mobilevlm::eval {

struct SuiteItem {
  std::string kind;
  double chance = 0;  // expected accuracy of the best answer given without looking
  Picture picture;
  std::string question;
  std::string answer;
};

// The next item, or nothing after the last one.
using ItemSource = std::function<std::optional<SuiteItem>()>;
// One answered question, for those who want to see it.
using ItemObserver = std::function<void(const SuiteItem& item, const std::string& prediction, bool correct)>;

struct SuiteOptions {
  uint64_t total = 0;     // number of items, for the progress line
  bool ask_blank = true;  // ask each question again with a blank picture (the preprocessor's mean colour)
  int max_tokens = 64;    // room for a caption; other answers are a few ids
  const std::atomic<bool>* cancel = nullptr;  // true ends the run with an Error
};

// Greedy decoding, v1 template, one fresh conversation a question.
Result<KindReport> RunSuite(const Model& model, const ItemSource& next, const SuiteOptions& options,
                            const ItemObserver& observer = {});

}  // namespace mobilevlm::eval
