// One question put to a model, in the mode of its benchmark.
#pragma once

#include <atomic>
#include <optional>

#include "base/result.h"
#include "eval/tasks/answers.h"
#include "eval/tasks/benchmark.h"
#include "mobilevlm/mobilevlm.h"

namespace mobilevlm::eval {

struct AskOptions {
  bool confidence = false;  // as RunOptions
  const std::atomic<bool>* cancel = nullptr;
};

struct Asked {
  ModelAnswer answer;
  Stats stats;
};

// A fresh conversation. Nothing if it was cancelled.
Result<std::optional<Asked>> AskQuestion(Session& session, const Benchmark& benchmark,
                                         const Question& question, const std::optional<Picture>& picture,
                                         const AskOptions& options);

}  // namespace mobilevlm::eval
