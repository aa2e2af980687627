#include "base/line_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/read_file.h"

namespace mobilevlm {
namespace {

constexpr uint64_t kLargestLog = uint64_t{16} << 30;

}  // namespace

Result<LineLog> LineLog::Open(const std::string& path, const Form& form,
                              const std::function<Status(std::string_view line)>& read) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return Fail("{}: cannot open for writing: {}", path, std::strerror(errno));
  LineLog log(path, fd);
  // A file system that knows no locks keeps nobody out.
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return Fail("{}: another process is writing to it", path);
  }

  MVLM_ASSIGN(const std::string text, ReadFile(path, kLargestLog));
  size_t begin = 0, number = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    ++number;
    if (const Status row = read(std::string_view(text).substr(begin, end - begin)); !row) {
      return Context(row.error(), "{}:{}", path, number);
    }
  }
  if (begin < text.size()) MVLM_TRY(log.CutTornLine(std::string_view(text).substr(begin), begin, form));
  return log;
}

LineLog::LineLog(LineLog&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

LineLog::~LineLog() {
  if (fd_ >= 0) ::close(fd_);
}

// Somebody else's file stays whole: only what can be the beginning of a row is cut.
Status LineLog::CutTornLine(std::string_view torn, uint64_t length, const Form& form) {
  const size_t known = std::min(torn.size(), form.begin.size());
  if (torn.substr(0, known) != form.begin.substr(0, known)) {
    return Fail("{}: its last line is not a row of answers; wanted {}, or a new one", path_, form.wanted);
  }
  if (::ftruncate(fd_, static_cast<off_t>(length)) != 0) {
    return Fail("{}: cannot cut off the torn last line: {}", path_, std::strerror(errno));
  }
  return {};
}

Status LineLog::Append(std::string row) {
  row += '\n';
  for (size_t written = 0; written < row.size();) {
    const ssize_t n = ::write(fd_, row.data() + written, row.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fail("{}: cannot write: {}", path_, std::strerror(errno));
    written += static_cast<size_t>(n);
  }
  return {};
}

}  // namespace mobilevlm
