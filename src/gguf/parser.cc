#include "gguf/parser.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "base/checked_math.h"
#include "base/utf8.h"

namespace mobilevlm {
namespace {

// The least bytes that one entry takes in the file; a count above left / least is a lie.
constexpr uint64_t kLeastMetadataBytes = 8 + 4 + 1;        // empty key, type, one byte
constexpr uint64_t kLeastTensorBytes = 8 + 4 + 8 + 4 + 8;  // empty name, one extent

// Keys and names stand in messages and listings: UTF-8 without control characters.
bool IsPrintable(std::string_view name) {
  return IsValidUtf8(name) &&
         std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

template <class T, class Wide>
std::optional<GgufValue> ReadNumber(ByteCursor& cursor, GgufType type) {
  const auto value = cursor.Read<T>();
  if (!value) return std::nullopt;
  return GgufValue{type, static_cast<Wide>(*value)};
}

std::optional<GgufValue> ReadScalar(ByteCursor& cursor, GgufType type) {
  switch (type) {
    case GgufType::kU8:
      return ReadNumber<uint8_t, uint64_t>(cursor, type);
    case GgufType::kU16:
      return ReadNumber<uint16_t, uint64_t>(cursor, type);
    case GgufType::kU32:
      return ReadNumber<uint32_t, uint64_t>(cursor, type);
    case GgufType::kU64:
      return ReadNumber<uint64_t, uint64_t>(cursor, type);
    case GgufType::kI8:
      return ReadNumber<int8_t, int64_t>(cursor, type);
    case GgufType::kI16:
      return ReadNumber<int16_t, int64_t>(cursor, type);
    case GgufType::kI32:
      return ReadNumber<int32_t, int64_t>(cursor, type);
    case GgufType::kI64:
      return ReadNumber<int64_t, int64_t>(cursor, type);
    case GgufType::kF32:
      return ReadNumber<float, double>(cursor, type);
    case GgufType::kF64:
      return ReadNumber<double, double>(cursor, type);
    default:
      return std::nullopt;
  }
}

}  // namespace

size_t GgufTypeBytes(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64:
      return 8;
    default:
      return 0;
  }
}

tl::unexpected<Error> GgufParser::Truncated(std::string_view what) const {
  return Fail("{}: truncated GGUF file: {} bytes end inside {}", file_.path_, file_.bytes_.size(), what);
}

Result<GgufFile> GgufParser::Parse() {
  MVLM_TRY(ParseHeader());
  MVLM_TRY(ParseMetadata());
  MVLM_TRY(ReadAlignment());
  MVLM_TRY(ParseTensorInfos());
  MVLM_TRY(LocateTensors());
  MVLM_TRY(CheckNoOverlap());
  return std::move(file_);
}

Status GgufParser::ParseHeader() {
  const std::string& path = file_.path_;
  if (file_.bytes_.empty()) return Fail("{}: the file is empty, wanted a GGUF file", path);
  const auto magic = cursor_.Read<uint32_t>();
  if (!magic || *magic != kGgufMagic) {
    return Fail("{}: not a GGUF file (it does not begin with \"GGUF\")", path);
  }
  const auto version = cursor_.Read<uint32_t>();
  if (!version) return Truncated("the header");
  if (*version == std::rotl(kGgufVersion, 24) || *version == std::rotl(kGgufOldestVersion, 24)) {
    return Fail("{}: a big-endian GGUF file; only little-endian files are supported", path);
  }
  if (*version < kGgufOldestVersion || *version > kGgufVersion) {
    return Fail("{}: GGUF version {}, wanted 2 or 3", path, *version);
  }
  file_.version_ = *version;
  const auto tensor_count = cursor_.Read<uint64_t>();
  const auto metadata_count = cursor_.Read<uint64_t>();
  if (!tensor_count || !metadata_count) return Truncated("the header");
  if (*metadata_count > cursor_.left() / kLeastMetadataBytes ||
      *tensor_count > cursor_.left() / kLeastTensorBytes) {
    return Fail("{}: the header promises {} metadata entries and {} tensors, more than {} bytes can hold",
                path, *metadata_count, *tensor_count, file_.bytes_.size());
  }
  tensor_count_ = *tensor_count;
  metadata_count_ = *metadata_count;
  return {};
}

Status GgufParser::ParseMetadata() {
  file_.metadata_.reserve(metadata_count_);
  for (uint64_t i = 0; i < metadata_count_; ++i) {
    const auto key = cursor_.ReadString();
    if (!key) return Truncated(fmt::format("the key of metadata entry {} of {}", i + 1, metadata_count_));
    if (!IsPrintable(*key)) {
      return Fail("{}: the key of metadata entry {} contains control characters", file_.path_, i + 1);
    }
    if (!file_.metadata_index_.emplace(*key, i).second) {
      return Fail("{}: metadata key {} appears twice", file_.path_, *key);
    }
    MVLM_ASSIGN(GgufValue value, ParseValue(*key));
    file_.metadata_.emplace_back(*key, std::move(value));
  }
  return {};
}

Result<GgufValue> GgufParser::ParseValue(std::string_view key) {
  const auto number = cursor_.Read<uint32_t>();
  if (!number) return Truncated(fmt::format("the type of {}", key));
  const auto type = static_cast<GgufType>(*number);
  if (type == GgufType::kArray) {
    MVLM_ASSIGN(GgufArray array, ParseArray(key));
    return GgufValue{type, array};
  }
  if (type == GgufType::kString) {
    const auto text = cursor_.ReadString();
    if (!text) return Truncated(fmt::format("the value of {}", key));
    return GgufValue{type, *text};
  }
  if (GgufTypeBytes(type) == 0) {
    return Fail("{}: metadata key {} has the unknown value type {}", file_.path_, key, *number);
  }
  if (type == GgufType::kBool) {
    const auto value = cursor_.Read<uint8_t>();
    if (!value) return Truncated(fmt::format("the value of {}", key));
    if (*value > 1) return Fail("{}: {}: wanted a bool (0 or 1), found {}", file_.path_, key, *value);
    return GgufValue{type, *value == 1};
  }
  const auto value = ReadScalar(cursor_, type);
  if (!value) return Truncated(fmt::format("the value of {}", key));
  return *value;
}

Result<GgufArray> GgufParser::ParseArray(std::string_view key) {
  const auto number = cursor_.Read<uint32_t>();
  const auto count = cursor_.Read<uint64_t>();
  if (!number || !count) return Truncated(fmt::format("the array {}", key));
  const auto type = static_cast<GgufType>(*number);
  if (type == GgufType::kArray) {
    return Fail("{}: {} is an array of arrays, which is not supported", file_.path_, key);
  }
  const size_t start = cursor_.position();
  if (type == GgufType::kString) {
    if (*count > cursor_.left() / 8) return Truncated(fmt::format("the {} strings of {}", *count, key));
    for (uint64_t i = 0; i < *count; ++i) {
      if (!cursor_.ReadString()) return Truncated(fmt::format("string {} of {}", i, key));
    }
  } else {
    const size_t element_bytes = GgufTypeBytes(type);
    if (element_bytes == 0) {
      return Fail("{}: array {} has the unknown element type {}", file_.path_, key, *number);
    }
    const auto size = CheckedMul(*count, element_bytes);
    if (!size || !cursor_.Take(*size)) return Truncated(fmt::format("the {} elements of {}", *count, key));
  }
  return GgufArray{type, *count, file_.bytes_.subspan(start, cursor_.position() - start)};
}

Status GgufParser::ReadAlignment() {
  if (!file_.Has(kGgufAlignmentKey)) return {};
  MVLM_ASSIGN(file_.alignment_, file_.GetU32(kGgufAlignmentKey));
  if (!std::has_single_bit(file_.alignment_)) {
    return Fail("{}: {}: wanted a power of two, found {}", file_.path_, kGgufAlignmentKey, file_.alignment_);
  }
  return {};
}

Status GgufParser::ParseTensorInfos() {
  file_.tensors_.reserve(tensor_count_);
  offsets_.reserve(tensor_count_);
  for (uint64_t i = 0; i < tensor_count_; ++i) {
    if (auto status = ParseTensorInfo(); !status) return status;
  }
  return {};
}

Status GgufParser::ParseTensorInfo() {
  const std::string& path = file_.path_;
  const size_t index = file_.tensors_.size();
  const auto name = cursor_.ReadString();
  if (!name) return Truncated(fmt::format("the name of tensor {} of {}", index + 1, tensor_count_));
  if (!IsPrintable(*name)) {
    return Fail("{}: the name of tensor {} contains control characters", path, index + 1);
  }
  if (!file_.tensor_index_.emplace(*name, index).second) {
    return Fail("{}: tensor {} appears twice", path, *name);
  }
  const auto dimensions = cursor_.Read<uint32_t>();
  if (!dimensions) return Truncated(fmt::format("tensor {}", *name));
  if (*dimensions == 0 || *dimensions > kGgufMaxDimensions) {
    return Fail("{}: tensor {}: wanted 1 to {} dimensions, found {}", path, *name, kGgufMaxDimensions,
                *dimensions);
  }
  GgufTensor tensor;
  tensor.name = *name;
  tensor.shape.resize(*dimensions);
  for (auto extent = tensor.shape.rbegin(); extent != tensor.shape.rend(); ++extent) {
    const auto value = cursor_.Read<uint64_t>();
    if (!value) return Truncated(fmt::format("the shape of tensor {}", *name));
    if (*value == 0) return Fail("{}: tensor {} has an extent of 0", path, *name);
    *extent = *value;
  }
  const auto type = cursor_.Read<uint32_t>();
  const auto offset = cursor_.Read<uint64_t>();
  if (!type || !offset) return Truncated(fmt::format("tensor {}", *name));
  const DTypeInfo* info = FindDType(*type);
  if (info == nullptr) {
    return Fail("{}: tensor {} has the unsupported type number {}; supported: {}", path, *name, *type,
                DTypeNames());
  }
  tensor.type = info->type;
  if (*offset % file_.alignment_ != 0) {
    return Fail("{}: tensor {}: offset {} is not a multiple of the alignment {}", path, *name, *offset,
                file_.alignment_);
  }
  file_.tensors_.push_back(std::move(tensor));
  offsets_.push_back(*offset);
  return {};
}

Status GgufParser::LocateTensors() {
  if (file_.tensors_.empty()) return {};
  const std::string& path = file_.path_;
  const auto data_start = CheckedAlign(cursor_.position(), file_.alignment_);
  if (!data_start || *data_start > file_.bytes_.size()) return Truncated("the padding before the data");
  const std::span<const std::byte> section = file_.bytes_.subspan(*data_start);
  for (size_t i = 0; i < file_.tensors_.size(); ++i) {
    GgufTensor& tensor = file_.tensors_[i];
    std::optional<uint64_t> size = RowBytes(tensor.type, tensor.shape.back());
    if (!size) {
      return Fail("{}: tensor {}: rows of {} elements are no whole blocks of {}", path, tensor.name,
                  tensor.shape.back(), DTypeName(tensor.type));
    }
    for (size_t d = 0; d + 1 < tensor.shape.size() && size; ++d) size = CheckedMul(*size, tensor.shape[d]);
    if (!size || !RangeFits(offsets_[i], *size, section.size())) {
      return Fail("{}: tensor {} {} {} at offset {} reaches past the end of the file ({} bytes): truncated?",
                  path, tensor.name, DTypeName(tensor.type), ShapeText(tensor.shape), offsets_[i],
                  file_.bytes_.size());
    }
    tensor.data = section.subspan(offsets_[i], *size);
  }
  return {};
}

Status GgufParser::CheckNoOverlap() const {
  std::vector<size_t> order(file_.tensors_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return offsets_[a] < offsets_[b]; });
  for (size_t i = 1; i < order.size(); ++i) {
    const GgufTensor& before = file_.tensors_[order[i - 1]];
    const GgufTensor& tensor = file_.tensors_[order[i]];
    if (offsets_[order[i]] - offsets_[order[i - 1]] < before.data.size()) {
      return Fail("{}: tensors {} and {} overlap", file_.path_, before.name, tensor.name);
    }
  }
  return {};
}

}  // namespace mobilevlm
