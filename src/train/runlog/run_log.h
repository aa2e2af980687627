// What a stage says while it runs: DIR/log.jsonl, TensorBoard events beside it, a line on standard error, and
// from them the report (report.h).
//
// log.jsonl has one object a line: step, loss and its parts, lr, gradient_norm, samples_per_second,
// tokens_per_second, waiting (share of the time spent waiting for data), gflops_per_second of the model's
// products and attention with flop_utilisation (their share of the measured float32 peak), exchange_share (of
// the time, what the exchange between processes took beside the backward pass), memory_gib (largest so far),
// seconds, time (since 1970), and "validation" (an object of numbers) where it ran.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/runlog/event_file.h"

namespace mobilevlm::train {

// The numbers of a log line under TensorBoard tags: "loss", "validation/name", "validation/blank/name".
std::vector<std::pair<std::string, double>> Scalars(const nlohmann::json& line);

class RunLog {
 public:
  // Continues the log of `directory` after `first_step`: later lines, which a killed run wrote and a resumed
  // one will write again, are dropped.
  static Result<RunLog> Open(const std::string& directory, int64_t first_step);

  // `line` needs "step"; "time" is added. A disk that is full loses log lines, not the training: the first
  // failure is printed.
  void Add(nlohmann::json line);
  // The line that was added last once more, now with "validation".
  void AddValidation(nlohmann::json line);

 private:
  void Complain(const std::string& message);

  RunLog(std::string path, EventFile events) : path_(std::move(path)), events_(std::move(events)) {}

  std::string path_;
  EventFile events_;
  bool complained_ = false;
};

// All objects of a log.jsonl. A last line that a kill cut short is left out; any other that is no object with
// step and loss is an Error that names file and line.
Result<std::vector<nlohmann::json>> ReadLog(const std::string& path);

// "multitask step 10/40 loss 2.3324 lr 1.2e-05 1234 tokens/s, 3 s left"
std::string ProgressLine(const std::string& stage, const nlohmann::json& line, int64_t steps,
                         double seconds_left);

}  // namespace mobilevlm::train
