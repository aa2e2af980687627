#include "answer_log.h"

#include <utility>

#include "base/parse_json.h"
#include "batch_input.h"

namespace mobilevlm::app {
namespace {

constexpr LineLog::Form kForm = {.begin = "{\"image\":", .wanted = "a file that run --batch has written"};

}  // namespace

Result<AnswerLog> AnswerLog::Open(const std::string& path, const std::string& run) {
  AnswerLog log(run);
  MVLM_ASSIGN(LineLog file,
              LineLog::Open(path, kForm, [&](std::string_view line) { return log.ReadRow(line); }));
  log.file_.emplace(std::move(file));
  return log;
}

Status AnswerLog::ReadRow(std::string_view line) {
  const auto row = ParseJson<nlohmann::ordered_json>(line, "row").value_or(nullptr);
  const auto is_string = [&](const char* key) { return row.contains(key) && row[key].is_string(); };
  if (!row.is_object() || !is_string("run") || !is_string("prompt") || !row.contains("image")) {
    return Fail("not a row of answers; wanted {}, or a new one", kForm.wanted);
  }
  if (const std::string run = row["run"]; run != run_) {
    return Fail("answered by another model or with other settings (run {}, now {}); give another -o", run,
                run_);
  }
  Remember(row);
  return {};
}

void AnswerLog::Remember(const nlohmann::ordered_json& row) {
  const Hash128 key = BatchKey(row);
  rows_.insert(key);
  if (row.contains("error")) failed_.insert(key);
}

Status AnswerLog::Append(nlohmann::ordered_json row) {
  row["run"] = run_;
  MVLM_TRY(file_->Append(row.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)));
  Remember(row);
  return {};
}

}  // namespace mobilevlm::app
