// Runs a benchmark: asks what has no answer yet, writes the answers in order, says how fast it was.
//
// Several workers may ask at the same time, each with its own Model. Answers are the same to the bit however
// many there are, and stand in the file in the order of the questions.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "eval/answer_file.h"
#include "eval/tasks/benchmark.h"
#include "mobilevlm/mobilevlm.h"

namespace mobilevlm::eval {

struct RunOptions {
  std::string answers;  // path of the answer file
  std::string timings;  // path of a JSON-lines file of times per question; empty: none
  std::string model_id;
  ShardRange range;         // which questions
  bool confidence = false;  // also the probability of each generated answer, as "confidence" in the metadata
  // A picture that cannot be read (by `decode`, before its question is asked): end, or leave the question
  // out. Whatever else goes wrong ends the run.
  OnMissing on_missing = OnMissing::kFail;
  const std::atomic<bool>* cancel = nullptr;
  // Decodes a picture ahead of its turn. Without it each is decoded when it is asked about.
  std::function<Result<Picture>(const Picture&)> decode = {};
};

// Where the time of a run went. Stages of workers that run at once add up.
struct RunStats {
  size_t asked = 0, before = 0, images = 0, skipped = 0;
  double seconds = 0;                     // by the clock
  double wait_ms = 0;                     // for a picture to be read (and decoded)
  double image_ms = 0;                    // tower and projector (and decoding, where nothing decodes ahead)
  double prompt_ms = 0, generate_ms = 0;  // likelihoods are read like prompts
  double other_ms = 0;                    // writing, and what belongs to no stage
  std::vector<std::string> skipped_questions;  // "row: why", the first ones
  double images_per_second() const { return seconds > 0 ? static_cast<double>(images) / seconds : 0; }
  double questions_per_second() const { return seconds > 0 ? static_cast<double>(asked) / seconds : 0; }
};

// `workers`: one Model for each, equal in everything but their threads. An Error names the question's row.
// After a cancellation what was answered so far is in the file.
Result<RunStats> RunBenchmark(const Benchmark& benchmark, const std::vector<Model>& workers,
                              const RunOptions& options);

}  // namespace mobilevlm::eval
