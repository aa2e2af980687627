// Directories that files are written to.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace mobilevlm {

// Makes the directory, and those above it, if they are missing.
Status MakeDirectories(const std::string& path);

// Keeps a directory for one process: while the lock lives, another one's Take is an Error. Where the file
// system knows no locks it keeps nobody out.
class DirectoryLock {
 public:
  static Result<DirectoryLock> Take(const std::string& path);

  DirectoryLock(DirectoryLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  DirectoryLock& operator=(DirectoryLock&&) = delete;
  ~DirectoryLock();

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace mobilevlm
