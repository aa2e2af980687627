// GgufFile: a parsed GGUF file, mapped read-only. The layout is described in gguf/format.h.
//
// Files are hostile until proven otherwise: every count and length is compared with the bytes that are left
// before anything is allocated, keys and tensor names are unique, and every tensor lies aligned inside the
// file and overlaps no other. What parses can therefore be read without further checks of its extent.
// What the numbers mean is not judged here: see schema/.
//
// Thread contract: immutable after Open; concurrent reads are fine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "gguf/format.h"
#include "tensor/dtype.h"

namespace mobilevlm {

// A metadata array: `count` elements, still encoded as in the file.
struct GgufArray {
  GgufType element_type = GgufType::kU8;
  uint64_t count = 0;
  std::span<const std::byte> bytes;
};

// Integers of every width are widened, strings point into the file.
struct GgufValue {
  GgufType type = GgufType::kU8;
  std::variant<uint64_t, int64_t, double, bool, std::string_view, GgufArray> value;
};

struct GgufTensor {
  std::string name;
  DType type = DType::kF32;
  std::vector<uint64_t> shape;  // outermost first; 1 to 4 extents, none of them 0
  std::span<const std::byte> data;

  uint64_t elements() const;
};

std::string_view GgufTypeName(GgufType type);

// A string from a file, fit for a one-line message: control characters as '?', at most 80 bytes.
std::string Printable(std::string_view text);

// "[768, 64]"
std::string ShapeText(std::span<const uint64_t> shape);

class GgufFile {
 public:
  // An Error (one line, beginning with the path) if the file is missing, empty, truncated, no GGUF, of an
  // unsupported version or byte order, or inconsistent in any way.
  static Result<GgufFile> Open(const std::string& path);

  // The same from memory that outlives the result. `name` stands in messages for the path.
  static Result<GgufFile> Parse(std::span<const std::byte> bytes, const std::string& name);

  // Typed getters: an Error naming file, key, wanted and found type if the key is missing or does not hold
  // such a value. Integers are accepted from any integer type in which the value fits.
  Result<uint32_t> GetU32(std::string_view key) const;
  Result<float> GetF32(std::string_view key) const;
  Result<bool> GetBool(std::string_view key) const;
  Result<std::string> GetString(std::string_view key) const;
  Result<std::vector<std::string>> GetStrings(std::string_view key) const;
  Result<std::vector<int64_t>> GetInts(std::string_view key) const;
  Result<std::vector<float>> GetF32s(std::string_view key) const;

  const GgufValue* Find(std::string_view key) const;
  bool Has(std::string_view key) const { return Find(key) != nullptr; }
  // In the order of the file.
  const std::vector<std::pair<std::string_view, GgufValue>>& metadata() const { return metadata_; }

  const GgufTensor* FindTensor(std::string_view name) const;
  const std::vector<GgufTensor>& tensors() const { return tensors_; }  // in the order of the file

  // Gives the tensor's pages back to the system; its bytes stay readable and are then read from the file
  // again. For callers that have copied them and must not hold both.
  void ReleasePages(const GgufTensor& tensor) const;

  const std::string& path() const { return path_; }
  uint32_t version() const { return version_; }
  uint32_t alignment() const { return alignment_; }
  uint64_t file_bytes() const { return bytes_.size(); }

 private:
  friend class GgufParser;
  GgufFile() = default;
  Result<GgufArray> GetArray(std::string_view key) const;

  std::vector<MappedFile> mapping_;  // one, or none if parsed from memory
  std::span<const std::byte> bytes_;
  std::string path_;
  uint32_t version_ = 0;
  uint32_t alignment_ = kGgufDefaultAlignment;
  std::vector<std::pair<std::string_view, GgufValue>> metadata_;
  std::unordered_map<std::string_view, size_t> metadata_index_;
  std::vector<GgufTensor> tensors_;
  std::unordered_map<std::string_view, size_t> tensor_index_;  // keys point into the file
};

}  // namespace mobilevlm
