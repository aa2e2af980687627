// A file that appears complete or not at all: written to a temporary name beside the target, fsynced,
// then renamed over it. Destroying the object without Commit() removes the temporary file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mobilevlm {

class AtomicFile {
 public:
  static Result<AtomicFile> Create(const std::string& path);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  // Appends; a full disk is an Error.
  Status Write(const void* data, size_t size);
  Status Write(std::string_view text) { return Write(text.data(), text.size()); }
  // Flushes to the disk and renames to the target path.
  Status Commit();

  uint64_t bytes_written() const { return written_; }

 private:
  AtomicFile(std::string path, std::string temporary, int fd)
      : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd) {}

  std::string path_;
  std::string temporary_;
  int fd_ = -1;
  uint64_t written_ = 0;
};

// Create + Write + Commit.
Status WriteFileAtomically(const std::string& path, std::string_view bytes);

}  // namespace mobilevlm
