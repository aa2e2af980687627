// Answers to the questions of a benchmark, and the files they stand in: JSON lines as LLaVA and MobileVLM
// write them, {"question_id", "prompt", "text", "answer_id", "model_id", "metadata"}.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "eval/tasks/benchmark.h"

namespace mobilevlm::eval {

struct ModelAnswer {
  std::string text;
  std::vector<std::pair<std::string, double>> scores = {};  // "p_yes", "log_likelihood", ... (metadata)

  std::optional<double> Score(std::string_view name) const;
};

// [questions]; nothing where a question was not answered.
using Answers = std::vector<std::optional<ModelAnswer>>;

// The answers of a file, joined by question_id and, where several questions share one, by the question in the
// prompt. An id that the benchmark does not have, a question answered twice, a prompt that is about something
// else are Errors that name the line.
Result<Answers> ReadAnswers(const std::string& path, const Benchmark& benchmark);

// The question in a prompt, whatever hint, options or instructions stand around it: how prompts of different
// harnesses are compared. Lower-cased.
std::string QuestionLine(std::string_view prompt);

}  // namespace mobilevlm::eval
