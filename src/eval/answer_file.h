// AnswerFile: the answers of a run, appended in the order of the questions as they come.
//
// A row is LLaVA's, with the question's place in the benchmark and what was measured beside the text in
// "metadata":
//   {"question_id": 7, "prompt": "...", "text": "B", "answer_id": "...", "model_id": "...", "metadata":
//   {"index": 6}}
// It holds nothing that differs between two runs with the same model, so a run that was killed and continued
// leaves the same bytes as one that was not.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/line_log.h"
#include "base/result.h"
#include "eval/tasks/answers.h"
#include "eval/tasks/benchmark.h"

namespace mobilevlm::eval {

class AnswerFile {
 public:
  // Opens or creates `path`. Rows that are there must be answers to questions from `begin` to `end` in their
  // order; next() is the question behind the last of them.
  static Result<AnswerFile> Open(const std::string& path, const Benchmark& benchmark,
                                 const std::string& model_id, size_t begin, size_t end);

  size_t next() const { return next_; }
  size_t rows() const { return rows_; }

  // The answer to question `index`, which is not before next().
  Status Append(size_t index, const ModelAnswer& answer);

 private:
  AnswerFile(const Benchmark& benchmark, std::string model_id, size_t begin)
      : benchmark_(&benchmark), model_id_(std::move(model_id)), next_(begin) {}
  Status ReadRow(std::string_view line, size_t end);

  const Benchmark* benchmark_;
  std::string model_id_;
  size_t next_ = 0, rows_ = 0;
  std::optional<LineLog> log_;
};

// Where the questions of a shard begin and end: shard `number` of `count`, both from 1. Shards follow each
// other; questions about one picture, or of one group, stay together.
struct ShardRange {
  size_t begin = 0, end = 0;
};
ShardRange ShardOf(const std::vector<Question>& questions, size_t number, size_t count);
// Keeps the first `most` questions, and the rest of the last one's group.
void LimitQuestions(size_t most, std::vector<Question>& questions);

// The answer files of all shards of a run as one, in the order of the questions. An Error names a question
// that two files answer, or a file without rows of a run.
Result<std::string> MergeAnswers(const std::vector<std::string>& paths);
// Whether the answer file `whole` has every row of `part`, which has at least one. A line without its end,
// left by a run that was killed, is none.
Result<bool> HoldsAllRows(const std::string& whole, const std::string& part);

}  // namespace mobilevlm::eval
