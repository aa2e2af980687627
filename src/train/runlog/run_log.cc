#include "train/runlog/run_log.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/atomic_file.h"
#include "base/directories.h"
#include "base/parse_json.h"
#include "base/read_file.h"
#include "base/units.h"

namespace mobilevlm::train {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kLogLimit = 1 << 30;

double Now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

void AddScalars(const Json& object, const std::string& prefix,
                std::vector<std::pair<std::string, double>>& scalars) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_number() && key != "step" && key != "time") {
      scalars.emplace_back(prefix + key, value.get<double>());
    }
    if (value.is_object()) AddScalars(value, prefix + key + "/", scalars);
  }
}

Status WriteLog(const std::string& path, const std::vector<Json>& lines) {
  std::string text;
  for (const Json& line : lines) text += line.dump() + '\n';
  return WriteFileAtomically(path, text);
}

}  // namespace

std::vector<std::pair<std::string, double>> Scalars(const Json& line) {
  std::vector<std::pair<std::string, double>> scalars;
  AddScalars(line, "", scalars);
  return scalars;
}

Result<RunLog> RunLog::Open(const std::string& directory, int64_t first_step) {
  MVLM_TRY(MakeDirectories(directory));
  const std::string path = directory + "/log.jsonl";
  if (std::filesystem::exists(path)) {
    MVLM_ASSIGN(std::vector<Json> lines, ReadLog(path));
    std::erase_if(lines, [&](const Json& line) { return line["step"].get<int64_t>() > first_step; });
    MVLM_TRY(WriteLog(path, lines));
  }
  MVLM_ASSIGN(EventFile events, EventFile::Create(directory, first_step, Now()));
  return RunLog(path, std::move(events));
}

void RunLog::Add(Json line) {
  line["time"] = Now();
  std::error_code is_new, ignored;
  const uintmax_t size = std::filesystem::file_size(path_, is_new);
  std::ofstream file(path_, std::ios::app);
  file << line.dump() << '\n';
  file.close();
  // Half a line would spoil the next one.
  if (!file) std::filesystem::resize_file(path_, is_new ? 0 : size, ignored);
  const Status events = events_.Write(line["step"].get<int64_t>(), line["time"].get<double>(), Scalars(line));
  if (!file) Complain(fmt::format("{}: cannot write", path_));
  if (!events) Complain(events.error().message);
}

void RunLog::AddValidation(Json line) {
  line["time"] = Now();
  const auto step = line["step"].get<int64_t>();
  const Status events =
      events_.Write(step, line["time"].get<double>(), Scalars({{"validation", line["validation"]}}));
  if (!events) Complain(events.error().message);
  auto lines = ReadLog(path_);
  if (!lines) return Complain(lines.error().message);
  if (!lines->empty() && lines->back()["step"] == step) lines->pop_back();
  lines->push_back(std::move(line));
  const Status written = WriteLog(path_, *lines);
  if (!written) Complain(written.error().message);
}

void RunLog::Complain(const std::string& message) {
  if (!complained_) fmt::print(stderr, "{}\n", message);
  complained_ = true;
}

Result<std::vector<Json>> ReadLog(const std::string& path) {
  MVLM_ASSIGN(const std::string text, ReadFile(path, kLogLimit));
  std::vector<Json> lines;
  std::istringstream stream(text);
  std::string line;
  for (int number = 1; std::getline(stream, line); ++number) {
    Json entry = ParseJson<Json>(line, path).value_or(nullptr);
    const bool whole = entry.is_object() && entry.contains("step") && entry["step"].is_number() &&
                       entry.contains("loss") && entry["loss"].is_number();
    if (!whole) {
      if (stream.peek() == EOF && !text.ends_with('\n')) break;
      return Fail("{}:{}: wanted a JSON object with step and loss", path, number);
    }
    lines.push_back(std::move(entry));
  }
  return lines;
}

std::string ProgressLine(const std::string& stage, const Json& line, int64_t steps, double seconds_left) {
  std::string text = fmt::format("{} step {}/{} loss {:.4f}", stage, line["step"].get<int64_t>(), steps,
                                 line["loss"].get<double>());
  if (line.contains("lr")) text += fmt::format(" lr {:.3g}", line["lr"].get<double>());
  if (line.contains("tokens_per_second")) {
    text += fmt::format(" {:.0f} tokens/s", line["tokens_per_second"].get<double>());
  } else if (line.contains("samples_per_second")) {
    text += fmt::format(" {:.1f} samples/s", line["samples_per_second"].get<double>());
  }
  if (line.contains("flop_utilisation")) {
    text +=
        fmt::format(", {:.0f} GFLOP/s ({:.0f} % of the float32 peak)",
                    line["gflops_per_second"].get<double>(), 100 * line["flop_utilisation"].get<double>());
  }
  if (const int64_t left_out = line.value("left_out", int64_t{0}); left_out > 0) {
    text += fmt::format(", {} samples left out", left_out);
  }
  text += fmt::format(", {} left", FormatDuration(seconds_left));
  return text;
}

}  // namespace mobilevlm::train
