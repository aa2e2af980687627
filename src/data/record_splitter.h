// Finds the objects of a large JSON file one by one without parsing them: a list of objects, or objects one
// after the other (JSON lines). Only brackets and strings are looked at; the object's own parser finds what
// is wrong inside it.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "data/sample.h"

namespace mobilevlm::data {

class RecordSplitter {
 public:
  explicit RecordSplitter(std::string_view bytes);

  struct Range {
    size_t offset = 0;
    size_t size = 0;
  };
  // The next object, nothing after the last one. The error's byte counts from the beginning of the file.
  tl::expected<std::optional<Range>, JsonError> Next();

 private:
  tl::unexpected<JsonError> Unexpected(std::string_view wanted) const;
  void SkipBlanks();
  bool SkipObject();  // false: the bytes end first

  std::string_view bytes_;
  size_t at_ = 0;
  bool list_ = false;   // within [ ]
  bool first_ = true;   // no object yet
  bool ended_ = false;  // ] was read
};

// Where and why `json` is not one JSON value; nothing if it is one. Slow, exact, in constant memory.
std::optional<JsonError> FindSyntaxError(std::string_view json);

}  // namespace mobilevlm::data
