// LineLog: a file that rows are appended to, one a line, each at once and as a whole, so that a run that was
// cut short can go on where it stopped.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace mobilevlm {

class LineLog {
 public:
  // What a row of the file looks like.
  struct Form {
    std::string_view begin;   // of every row; a torn last line must fit it
    std::string_view wanted;  // "a file that run --batch has written", for errors
  };

  // Opens `path` or creates it, and keeps other processes from writing to it. `read` sees every line; its
  // Error gets file and line in front. A last line without its end, left by a process or machine that died
  // while writing, is cut off.
  static Result<LineLog> Open(const std::string& path, const Form& form,
                              const std::function<Status(std::string_view line)>& read);

  LineLog(LineLog&& other) noexcept;
  LineLog(const LineLog&) = delete;
  LineLog& operator=(const LineLog&) = delete;
  LineLog& operator=(LineLog&&) = delete;
  ~LineLog();

  // `row` without its line end.
  Status Append(std::string row);

  const std::string& path() const { return path_; }

 private:
  LineLog(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  Status CutTornLine(std::string_view torn, uint64_t length, const Form& form);

  std::string path_;
  int fd_ = -1;
};

}  // namespace mobilevlm
