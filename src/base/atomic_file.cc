#include "base/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <random>
#include <utility>

namespace mobilevlm {

Result<AtomicFile> AtomicFile::Create(const std::string& path) {
  // Several machines may write the same file on shared storage, and in containers all have the same pid.
  std::string temporary = fmt::format("{}.{:08x}.tmp", path, std::random_device()());
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return Fail("{}: cannot create: {}", temporary, std::strerror(errno));
  return AtomicFile(path, std::move(temporary), fd);
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      fd_(std::exchange(other.fd_, -1)),
      written_(other.written_) {}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

Status AtomicFile::Write(const void* data, size_t size) {
  const char* bytes = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t n = ::write(fd_, bytes, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fail("{}: cannot write: {}", path_, std::strerror(errno));
    bytes += n;
    size -= static_cast<size_t>(n);
    written_ += static_cast<uint64_t>(n);
  }
  return {};
}

Status AtomicFile::Commit() {
  if (::fsync(fd_) != 0) return Fail("{}: cannot sync: {}", path_, std::strerror(errno));
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return Fail("{}: cannot rename the finished file into place: {}", path_, std::strerror(errno));
  }
  ::close(std::exchange(fd_, -1));
  return {};
}

Status WriteFileAtomically(const std::string& path, std::string_view bytes) {
  MVLM_ASSIGN(auto file, AtomicFile::Create(path));
  MVLM_TRY(file.Write(bytes));
  return file.Commit();
}

}  // namespace mobilevlm
