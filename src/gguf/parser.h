// GgufParser: the bytes of a file into a GgufFile. Internal to gguf/; users call GgufFile::Open.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "gguf/cursor.h"
#include "gguf/reader.h"

namespace mobilevlm {

class GgufParser {
 public:
  GgufParser(std::span<const std::byte> bytes, const std::string& path) : cursor_(bytes) {
    file_.bytes_ = bytes;
    file_.path_ = path;
  }

  Result<GgufFile> Parse();

 private:
  Status ParseHeader();
  Status ParseMetadata();
  Result<GgufValue> ParseValue(std::string_view key);
  Result<GgufArray> ParseArray(std::string_view key);
  Status ReadAlignment();
  Status ParseTensorInfos();
  Status ParseTensorInfo();
  Status LocateTensors();
  Status CheckNoOverlap() const;

  // "<path>: truncated while reading <what>"
  tl::unexpected<Error> Truncated(std::string_view what) const;

  GgufFile file_;
  ByteCursor cursor_;
  uint64_t tensor_count_ = 0;
  uint64_t metadata_count_ = 0;
  std::vector<uint64_t> offsets_;  // per tensor, from the start of the data section
};

// Bytes of one element of a fixed-size metadata type; 0 for strings, arrays and unknown numbers.
size_t GgufTypeBytes(GgufType type);

}  // namespace mobilevlm
