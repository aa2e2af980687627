// safetensors files: a JSON header and raw little-endian tensors.
//
//   u64 header length | JSON {"name": {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, ...,
//   "__metadata__": {"key": "text"}} | data, which the tensors tile without holes or overlaps
//
// Specification: https://github.com/huggingface/safetensors#format
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "checkpoint/named_tensor.h"

namespace mobilevlm {

// A tensor to be written: `stream` gives its bytes to the sink, in as many pieces as it likes, and passes on
// the sink's error, if any.
struct StreamedTensor {
  using ByteSink = std::function<Status(std::span<const std::byte>)>;

  std::string name;
  DType type = DType::kF32;  // F32, F16 or BF16
  std::vector<uint64_t> shape;
  std::function<Status(const ByteSink&)> stream;
};

// Writes atomically; sizes must agree with shapes, names must be unique (else abort). Tensors of 4-byte types
// come first, so that all are aligned. An Error of a stream or of the disk leaves no file.
Status WriteSafetensors(const std::string& path, std::span<const StreamedTensor> tensors,
                        const std::map<std::string, std::string>& metadata = {});
// The same for tensors in memory, without strides.
Status WriteSafetensors(const std::string& path, std::span<const NamedTensor> tensors,
                        const std::map<std::string, std::string>& metadata = {});

// A parsed file, mapped read-only. Thread contract: immutable after Open.
class SafetensorsFile {
 public:
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

  // Gives the pages of a tensor's data back to the system; the bytes stay readable.
  void Release(std::span<const std::byte> data) const;

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
