// safetensors files: a JSON header and raw little-endian tensors.
//
//   u64 header length | JSON {"name": {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, ...,
//   "__metadata__": {"key": "text"}} | data, which the tensors tile without holes or overlaps
//
// Specification: https://github.com/huggingface/safetensors#format
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "tensor/dtype.h"

namespace mobilevlm {

struct NamedTensor {
  std::string name;
  DType type = DType::kF32;         // F32, F16 or BF16
  std::vector<uint64_t> shape;      // outermost first; empty for a scalar
  std::span<const std::byte> data;  // not necessarily aligned for its type
};

// Writes atomically; types F32, F16, BF16, sizes must agree with shapes, names must be unique (else abort).
// Tensors of 4-byte types come first, so that all are aligned.
Status WriteSafetensors(const std::string& path, std::span<const NamedTensor> tensors,
                        const std::map<std::string, std::string>& metadata = {});

// A parsed file, mapped read-only. Thread contract: immutable after Open.
class SafetensorsFile {
 public:
  // A tensor whose element type (I64, BOOL, ...) nothing here reads.
  struct OtherTensor {
    std::string name;
    std::string dtype;
  };

  // An Error (one line, beginning with the path) if the file is missing, truncated or inconsistent.
  static Result<SafetensorsFile> Open(const std::string& path);
  // The same from memory that outlives the result.
  static Result<SafetensorsFile> Parse(std::span<const std::byte> bytes, const std::string& name);

  const std::vector<NamedTensor>& tensors() const { return tensors_; }  // by position in the file
  const std::vector<OtherTensor>& others() const { return others_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  // nullptr if there is none of a readable type.
  const NamedTensor* Find(std::string_view name) const;
  // An Error that says whether it is missing or of a type that is not read.
  Result<const NamedTensor*> Require(std::string_view name) const;

  const std::string& path() const { return path_; }

 private:
  friend class SafetensorsParser;
  SafetensorsFile() = default;

  std::vector<MappedFile> mapping_;  // one, or none if parsed from memory
  std::string path_;
  std::vector<NamedTensor> tensors_;
  std::vector<OtherTensor> others_;
  std::unordered_map<std::string, size_t> index_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace mobilevlm
