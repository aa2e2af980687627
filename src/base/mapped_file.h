// A file mapped read-only into memory. The bytes live as long as the object.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"

namespace mobilevlm {

class MappedFile {
 public:
  // Maps the whole file. An empty file maps to an empty span; a directory or unreadable file is an Error.
  static Result<MappedFile> Open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  // Drops the pages that lie wholly inside `part` from this process's memory; reading them maps them again.
  void Release(std::span<const std::byte> part) const;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

 private:
  MappedFile(std::string path, const std::byte* data, size_t size)
      : path_(std::move(path)), data_(data), size_(size) {}

  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace mobilevlm
