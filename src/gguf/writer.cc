#include "gguf/writer.h"

#include <optional>

#include "base/atomic_file.h"
#include "base/check.h"
#include "base/checked_math.h"
#include "base/divide_up.h"
#include "gguf/cursor.h"  // asserts a little-endian host

namespace mobilevlm {
namespace {

template <class T>
void Append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void AppendString(std::string& out, std::string_view text) {
  Append<uint64_t>(out, text.size());
  out.append(text);
}

// The low bytes of `bits`, as many as the type has.
void AppendInteger(std::string& out, uint64_t bits, GgufType type) {
  const bool one = type == GgufType::kU8 || type == GgufType::kI8;
  const bool two = type == GgufType::kU16 || type == GgufType::kI16;
  const bool four = type == GgufType::kU32 || type == GgufType::kI32;
  out.append(reinterpret_cast<const char*>(&bits), one ? 1 : two ? 2 : four ? 4 : 8);
}

uint64_t Aligned(uint64_t offset) { return RoundUp(offset, kGgufDefaultAlignment); }

Status Pad(AtomicFile& file) {
  static constexpr char kZeros[kGgufDefaultAlignment] = {};
  return file.Write(kZeros, Aligned(file.bytes_written()) - file.bytes_written());
}

}  // namespace

void GgufWriter::BeginEntry(std::string_view key, GgufType type) {
  MVLM_CHECK(names_.insert(fmt::format("key {}", key)).second, "{} is set twice", key);
  ++metadata_count_;
  AppendString(metadata_, key);
  Append(metadata_, static_cast<uint32_t>(type));
}

void GgufWriter::BeginArray(std::string_view key, GgufType element_type, uint64_t count) {
  BeginEntry(key, GgufType::kArray);
  Append(metadata_, static_cast<uint32_t>(element_type));
  Append(metadata_, count);
}

void GgufWriter::SetU32(std::string_view key, uint32_t value) {
  BeginEntry(key, GgufType::kU32);
  Append(metadata_, value);
}

void GgufWriter::SetF32(std::string_view key, float value) {
  BeginEntry(key, GgufType::kF32);
  Append(metadata_, value);
}

void GgufWriter::SetBool(std::string_view key, bool value) {
  BeginEntry(key, GgufType::kBool);
  Append<uint8_t>(metadata_, value ? 1 : 0);
}

void GgufWriter::SetString(std::string_view key, std::string_view value) {
  BeginEntry(key, GgufType::kString);
  AppendString(metadata_, value);
}

void GgufWriter::SetStrings(std::string_view key, std::span<const std::string> values) {
  BeginArray(key, GgufType::kString, values.size());
  for (const std::string& value : values) AppendString(metadata_, value);
}

void GgufWriter::SetI32s(std::string_view key, std::span<const int32_t> values) {
  BeginArray(key, GgufType::kI32, values.size());
  for (const int32_t value : values) Append(metadata_, value);
}

void GgufWriter::SetF32s(std::string_view key, std::span<const float> values) {
  BeginArray(key, GgufType::kF32, values.size());
  for (const float value : values) Append(metadata_, value);
}

void GgufWriter::Set(std::string_view key, const GgufValue& value) {
  if (const GgufArray* array = std::get_if<GgufArray>(&value.value)) {
    BeginArray(key, array->element_type, array->count);
    metadata_.append(reinterpret_cast<const char*>(array->bytes.data()), array->bytes.size());
    return;
  }
  BeginEntry(key, value.type);
  switch (value.type) {
    case GgufType::kU8:
    case GgufType::kU16:
    case GgufType::kU32:
    case GgufType::kU64:
      return AppendInteger(metadata_, std::get<uint64_t>(value.value), value.type);
    case GgufType::kI8:
    case GgufType::kI16:
    case GgufType::kI32:
    case GgufType::kI64:
      return AppendInteger(metadata_, static_cast<uint64_t>(std::get<int64_t>(value.value)), value.type);
    case GgufType::kF32:
      return Append(metadata_, static_cast<float>(std::get<double>(value.value)));
    case GgufType::kF64:
      return Append(metadata_, std::get<double>(value.value));
    case GgufType::kBool:
      return Append<uint8_t>(metadata_, std::get<bool>(value.value) ? 1 : 0);
    case GgufType::kString:
      return AppendString(metadata_, std::get<std::string_view>(value.value));
    case GgufType::kArray:
      break;  // handled above
  }
  MVLM_CHECK(false, "{}: value type {}", key, static_cast<uint32_t>(value.type));
}

void GgufWriter::AddTensor(std::string_view name, DType type, std::vector<uint64_t> shape,
                           DataProvider data) {
  AddStreamedTensor(name, type, std::move(shape), [data = std::move(data)](const ByteSink& sink) -> Status {
    MVLM_ASSIGN(const std::vector<std::byte> bytes, data());
    return sink(bytes);
  });
}

void GgufWriter::AddStreamedTensor(std::string_view name, DType type, std::vector<uint64_t> shape,
                                   DataStream stream) {
  MVLM_CHECK(names_.insert(fmt::format("tensor {}", name)).second, "{} is added twice", name);
  MVLM_CHECK(!shape.empty() && shape.size() <= kGgufMaxDimensions, "{} has {} dimensions", name,
             shape.size());
  std::optional<uint64_t> size = RowBytes(type, shape.back());
  for (size_t i = 0; i + 1 < shape.size() && size; ++i) size = CheckedMul(*size, shape[i]);
  MVLM_CHECK(size.has_value(), "{}: {} columns as {}", name, shape.back(), DTypeName(type));
  tensors_.push_back({std::string(name), type, std::move(shape), *size, std::move(stream)});
}

Status GgufWriter::Write(const std::string& path) const {
  std::string header;
  Append(header, kGgufMagic);
  Append(header, kGgufVersion);
  Append<uint64_t>(header, tensors_.size());
  Append(header, metadata_count_);
  header += metadata_;
  uint64_t offset = 0;
  for (const Tensor& tensor : tensors_) {
    AppendString(header, tensor.name);
    Append(header, static_cast<uint32_t>(tensor.shape.size()));
    for (auto extent = tensor.shape.rbegin(); extent != tensor.shape.rend(); ++extent)
      Append(header, *extent);
    Append(header, static_cast<uint32_t>(tensor.type));
    Append(header, offset);
    offset = Aligned(offset + tensor.size);
  }
  MVLM_ASSIGN(AtomicFile file, AtomicFile::Create(path));
  MVLM_TRY(file.Write(header));
  MVLM_TRY(Pad(file));
  for (const Tensor& tensor : tensors_) {
    const uint64_t begin = file.bytes_written();
    MVLM_TRY(tensor.stream(
        [&file](std::span<const std::byte> bytes) { return file.Write(bytes.data(), bytes.size()); }));
    const uint64_t size = file.bytes_written() - begin;
    MVLM_CHECK(size == tensor.size, "{}: wanted {} bytes, found {}", tensor.name, tensor.size, size);
    MVLM_TRY(Pad(file));
  }
  return file.Commit();
}

}  // namespace mobilevlm
