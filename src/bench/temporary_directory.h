// A directory for the time of a measurement, removed with all it holds.
#pragma once

#include <string>

#include "base/result.h"

namespace mobilevlm::bench {

class TemporaryDirectory {
 public:
  // Below $TMPDIR, or /tmp.
  static Result<TemporaryDirectory> Create();

  TemporaryDirectory(TemporaryDirectory&& other) noexcept;
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  ~TemporaryDirectory();

  const std::string& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;  // empty: moved from
};

}  // namespace mobilevlm::bench
