#include "answer_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/read_file.h"
#include "batch_input.h"

namespace mobilevlm::app {
namespace {

constexpr uint64_t kLargestLog = uint64_t{16} << 30;
constexpr std::string_view kRowBegin = "{\"image\":";  // of every row; a torn line must fit it

}  // namespace

Result<AnswerLog> AnswerLog::Open(const std::string& path, const std::string& run) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return Fail("{}: cannot open for writing: {}", path, std::strerror(errno));
  AnswerLog log(path, run, fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) return Fail("{}: another process is writing to it", path);
  MVLM_TRY(log.ReadRows());
  return log;
}

AnswerLog::AnswerLog(AnswerLog&& other) noexcept
    : path_(std::move(other.path_)),
      run_(std::move(other.run_)),
      fd_(std::exchange(other.fd_, -1)),
      rows_(std::move(other.rows_)),
      failed_(std::move(other.failed_)) {}

AnswerLog::~AnswerLog() {
  if (fd_ >= 0) ::close(fd_);
}

Status AnswerLog::ReadRows() {
  MVLM_ASSIGN(const std::string text, ReadFile(path_, kLargestLog));
  size_t begin = 0, number = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    ++number;
    if (const Status row = ReadRow(std::string_view(text).substr(begin, end - begin)); !row) {
      return Context(row.error(), "{}:{}", path_, number);
    }
  }
  if (begin == text.size()) return {};
  return CutTornLine(std::string_view(text).substr(begin), begin);
}

Status AnswerLog::ReadRow(std::string_view line) {
  const auto row = nlohmann::ordered_json::parse(line, nullptr, /*allow_exceptions=*/false);
  const auto is_string = [&](const char* key) { return row.contains(key) && row[key].is_string(); };
  if (!row.is_object() || !is_string("run") || !is_string("prompt") || !row.contains("image")) {
    return Fail("not a row of answers; wanted a file that run --batch has written, or a new one");
  }
  if (const std::string run = row["run"]; run != run_) {
    return Fail("answered by another model or with other settings (run {}, now {}); give another -o", run,
                run_);
  }
  Remember(row);
  return {};
}

// Somebody else's file stays whole: only what can be the beginning of a row is cut.
Status AnswerLog::CutTornLine(std::string_view torn, uint64_t length) {
  const size_t known = std::min(torn.size(), kRowBegin.size());
  if (torn.substr(0, known) != kRowBegin.substr(0, known)) {
    return Fail(
        "{}: its last line is not a row of answers; wanted a file that run --batch has written, or a "
        "new one",
        path_);
  }
  if (::ftruncate(fd_, static_cast<off_t>(length)) != 0) {
    return Fail("{}: cannot cut off the torn last line: {}", path_, std::strerror(errno));
  }
  return {};
}

void AnswerLog::Remember(const nlohmann::ordered_json& row) {
  const Hash128 key = BatchKey(row);
  rows_.insert(key);
  if (row.contains("error")) failed_.insert(key);
}

Status AnswerLog::Append(nlohmann::ordered_json row) {
  row["run"] = run_;
  const std::string line = row.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  for (size_t written = 0; written < line.size();) {
    const ssize_t n = ::write(fd_, line.data() + written, line.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fail("{}: cannot write: {}", path_, std::strerror(errno));
    written += static_cast<size_t>(n);
  }
  Remember(row);
  return {};
}

}  // namespace mobilevlm::app
