// GgufWriter: collects metadata and tensor descriptions, then writes a GGUF version 3 file in one pass.
// Tensor data is asked for when its turn comes, so that at most one tensor is in memory at a time, and the
// file appears under its name only when it is complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "gguf/reader.h"
#include "tensor/dtype.h"

namespace mobilevlm {

class GgufWriter {
 public:
  // Metadata, in the order of the calls. A key set twice is our own mistake and aborts.
  void SetU32(std::string_view key, uint32_t value);
  void SetF32(std::string_view key, float value);
  void SetBool(std::string_view key, bool value);
  void SetString(std::string_view key, std::string_view value);
  void SetStrings(std::string_view key, std::span<const std::string> values);
  void SetI32s(std::string_view key, std::span<const int32_t> values);
  void SetF32s(std::string_view key, std::span<const float> values);

  // Any value, as a file had it.
  void Set(std::string_view key, const GgufValue& value);

  // `shape` is outermost first, 1 to 4 extents; its last is whole blocks of `type`. `data` is called once
  // per Write and must give exactly the bytes that type and shape need.
  using DataProvider = std::function<Result<std::vector<std::byte>>()>;
  void AddTensor(std::string_view name, DType type, std::vector<uint64_t> shape, DataProvider data);

  // The same for data that should not be in memory at once: `stream` calls the sink as often as it likes and
  // passes on its error, if any.
  using ByteSink = std::function<Status(std::span<const std::byte>)>;
  using DataStream = std::function<Status(const ByteSink&)>;
  void AddStreamedTensor(std::string_view name, DType type, std::vector<uint64_t> shape, DataStream stream);

  // Alignment 32. Errors are the disk's or a data provider's; no file is left behind then.
  Status Write(const std::string& path) const;

 private:
  struct Tensor {
    std::string name;
    DType type;
    std::vector<uint64_t> shape;
    uint64_t size;
    DataStream stream;
  };
  void BeginEntry(std::string_view key, GgufType type);
  void BeginArray(std::string_view key, GgufType element_type, uint64_t count);

  std::string metadata_;  // encoded
  uint64_t metadata_count_ = 0;
  std::unordered_set<std::string> names_;  // keys and tensors, told apart by a prefix
  std::vector<Tensor> tensors_;
};

}  // namespace mobilevlm
