// AnswerLog: the output of `run --batch`, one JSON object a line, appended as the answers come, so that a run
// that was cut short can go on where it stopped.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unordered_set>

#include "base/content_hash.h"
#include "base/line_log.h"
#include "base/result.h"

namespace mobilevlm::app {

class AnswerLog {
 public:
  // Opens `path` or creates it, and keeps other processes from writing to it. `run` stands for the model and
  // the settings that shape an answer: rows of another run are an Error, and so is a line that is no row. A
  // last line without its end, left by a process or machine that died while writing, is cut off.
  static Result<AnswerLog> Open(const std::string& path, const std::string& run);

  // Whether there is a row with this BatchKey; `failed`: one that holds an error.
  bool Has(const Hash128& key) const { return rows_.count(key) != 0; }
  bool HasFailed(const Hash128& key) const { return failed_.count(key) != 0; }

  // Writes the row, completed by the run, at once and as a whole.
  Status Append(nlohmann::ordered_json row);

 private:
  struct LowHalf {
    size_t operator()(const Hash128& hash) const { return static_cast<size_t>(hash.low); }
  };

  explicit AnswerLog(std::string run) : run_(std::move(run)) {}
  Status ReadRow(std::string_view line);
  void Remember(const nlohmann::ordered_json& row);

  std::string run_;
  std::optional<LineLog> file_;
  std::unordered_set<Hash128, LowHalf> rows_, failed_;
};

}  // namespace mobilevlm::app
