#include "gguf/reader.h"

#include <algorithm>
#include <limits>

#include "base/utf8.h"
#include "gguf/cursor.h"
#include "gguf/parser.h"

namespace mobilevlm {
namespace {

std::string Describe(const GgufValue& value) {
  if (const auto* array = std::get_if<GgufArray>(&value.value)) {
    return fmt::format("an array of {}", GgufTypeName(array->element_type));
  }
  return std::string(GgufTypeName(value.type));
}

bool IsInteger(GgufType type) {
  switch (type) {
    case GgufType::kF32:
    case GgufType::kF64:
    case GgufType::kBool:
    case GgufType::kString:
    case GgufType::kArray:
      return false;
    default:
      return true;
  }
}

template <class T>
int64_t ReadAs(ByteCursor& cursor) {
  return static_cast<int64_t>(*cursor.Read<T>());  // the parser measured the array
}

int64_t ReadInteger(ByteCursor& cursor, GgufType type) {
  switch (type) {
    case GgufType::kU8:
      return ReadAs<uint8_t>(cursor);
    case GgufType::kI8:
      return ReadAs<int8_t>(cursor);
    case GgufType::kU16:
      return ReadAs<uint16_t>(cursor);
    case GgufType::kI16:
      return ReadAs<int16_t>(cursor);
    case GgufType::kU32:
      return ReadAs<uint32_t>(cursor);
    case GgufType::kI32:
      return ReadAs<int32_t>(cursor);
    case GgufType::kU64:
      return ReadAs<uint64_t>(cursor);
    default:
      return ReadAs<int64_t>(cursor);
  }
}

tl::unexpected<Error> Missing(const std::string& path, std::string_view key) {
  return Fail("{}: metadata key {} is missing", path, key);
}

tl::unexpected<Error> WrongType(const std::string& path, std::string_view key, std::string_view wanted,
                                const GgufValue& found) {
  return Fail("{}: metadata key {}: wanted {}, found {}", path, key, wanted, Describe(found));
}

}  // namespace

std::string_view GgufTypeName(GgufType type) {
  switch (type) {
    case GgufType::kU8:
      return "u8";
    case GgufType::kI8:
      return "i8";
    case GgufType::kU16:
      return "u16";
    case GgufType::kI16:
      return "i16";
    case GgufType::kU32:
      return "u32";
    case GgufType::kI32:
      return "i32";
    case GgufType::kF32:
      return "f32";
    case GgufType::kBool:
      return "bool";
    case GgufType::kString:
      return "string";
    case GgufType::kArray:
      return "array";
    case GgufType::kU64:
      return "u64";
    case GgufType::kI64:
      return "i64";
    case GgufType::kF64:
      return "f64";
  }
  return "unknown";
}

std::string Printable(std::string_view text) {
  constexpr size_t kMostBytes = 80;
  std::string line;
  while (!text.empty()) {
    const size_t length = ValidUtf8Prefix(text);
    const bool shown = length > 1 || (length == 1 && text[0] >= 0x20 && text[0] != 0x7F);
    if (line.size() + std::max<size_t>(length, 1) > kMostBytes) break;
    line += shown ? text.substr(0, length) : "?";
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return line;
}

std::string ShapeText(std::span<const uint64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

uint64_t GgufTensor::elements() const {
  uint64_t count = 1;
  for (const uint64_t extent : shape) count *= extent;
  return count;
}

Result<GgufFile> GgufFile::Open(const std::string& path) {
  MVLM_ASSIGN(MappedFile mapping, MappedFile::Open(path));
  MVLM_ASSIGN(GgufFile file, Parse(mapping.bytes(), path));
  file.mapping_.push_back(std::move(mapping));
  return file;
}

Result<GgufFile> GgufFile::Parse(std::span<const std::byte> bytes, const std::string& name) {
  return GgufParser(bytes, name).Parse();
}

const GgufValue* GgufFile::Find(std::string_view key) const {
  const auto found = metadata_index_.find(key);
  return found == metadata_index_.end() ? nullptr : &metadata_[found->second].second;
}

const GgufTensor* GgufFile::FindTensor(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

Result<uint32_t> GgufFile::GetU32(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return Missing(path_, key);
  constexpr uint64_t kMax = std::numeric_limits<uint32_t>::max();
  if (const auto* number = std::get_if<uint64_t>(&value->value)) {
    if (*number <= kMax) return static_cast<uint32_t>(*number);
    return Fail("{}: metadata key {}: wanted at most {}, found {}", path_, key, kMax, *number);
  }
  if (const auto* number = std::get_if<int64_t>(&value->value)) {
    if (*number >= 0 && static_cast<uint64_t>(*number) <= kMax) return static_cast<uint32_t>(*number);
    return Fail("{}: metadata key {}: wanted 0 to {}, found {}", path_, key, kMax, *number);
  }
  return WrongType(path_, key, "an integer", *value);
}

Result<float> GgufFile::GetF32(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return Missing(path_, key);
  if (const auto* number = std::get_if<double>(&value->value)) return static_cast<float>(*number);
  return WrongType(path_, key, "f32", *value);
}

Result<bool> GgufFile::GetBool(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return Missing(path_, key);
  if (const auto* flag = std::get_if<bool>(&value->value)) return *flag;
  return WrongType(path_, key, "bool", *value);
}

Result<std::string> GgufFile::GetString(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return Missing(path_, key);
  if (const auto* text = std::get_if<std::string_view>(&value->value)) return std::string(*text);
  return WrongType(path_, key, "string", *value);
}

Result<GgufArray> GgufFile::GetArray(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return Missing(path_, key);
  if (const auto* array = std::get_if<GgufArray>(&value->value)) return *array;
  return WrongType(path_, key, "an array", *value);
}

Result<std::vector<std::string>> GgufFile::GetStrings(std::string_view key) const {
  MVLM_ASSIGN(const GgufArray array, GetArray(key));
  if (array.element_type != GgufType::kString) {
    return WrongType(path_, key, "an array of string", *Find(key));
  }
  ByteCursor cursor(array.bytes);
  std::vector<std::string> strings;
  strings.reserve(array.count);
  for (uint64_t i = 0; i < array.count; ++i) strings.emplace_back(*cursor.ReadString());
  return strings;
}

Result<std::vector<int64_t>> GgufFile::GetInts(std::string_view key) const {
  MVLM_ASSIGN(const GgufArray array, GetArray(key));
  if (!IsInteger(array.element_type)) return WrongType(path_, key, "an array of integers", *Find(key));
  ByteCursor cursor(array.bytes);
  std::vector<int64_t> values(array.count);
  for (int64_t& value : values) value = ReadInteger(cursor, array.element_type);
  return values;
}

Result<std::vector<float>> GgufFile::GetF32s(std::string_view key) const {
  MVLM_ASSIGN(const GgufArray array, GetArray(key));
  if (array.element_type != GgufType::kF32) return WrongType(path_, key, "an array of f32", *Find(key));
  ByteCursor cursor(array.bytes);
  std::vector<float> values(array.count);
  for (float& value : values) value = *cursor.Read<float>();
  return values;
}

void GgufFile::ReleasePages(const GgufTensor& tensor) const {
  if (!mapping_.empty()) mapping_.front().Release(tensor.data);
}

}  // namespace mobilevlm
