#include "checkpoint/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/atomic_file.h"
#include "base/check.h"
#include "base/parse_json.h"

namespace mobilevlm {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the reference implementation
constexpr std::string_view kMetadataKey = "__metadata__";

std::optional<DType> ReadableType(std::string_view dtype) {
  if (dtype == "F32") return DType::kF32;
  if (dtype == "F16") return DType::kF16;
  if (dtype == "BF16") return DType::kBF16;
  return std::nullopt;
}

bool IsPrintable(std::string_view name) {
  return std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

// JSON arrays of unsigned numbers; nullopt for anything else.
std::optional<std::vector<uint64_t>> Numbers(const Json& json) {
  if (!json.is_array()) return std::nullopt;
  std::vector<uint64_t> numbers;
  for (const Json& item : json) {
    if (!item.is_number_unsigned()) return std::nullopt;
    numbers.push_back(item.get<uint64_t>());
  }
  return numbers;
}

}  // namespace

class SafetensorsParser {
 public:
  SafetensorsParser(std::span<const std::byte> bytes, const std::string& path) : bytes_(bytes) {
    file_.path_ = path;
  }

  Result<SafetensorsFile> Parse() {
    MVLM_ASSIGN(const Json header, ParseHeader());
    for (const auto& [name, entry] : header.items()) {
      if (name == kMetadataKey) {
        MVLM_TRY(ParseMetadata(entry));
      } else {
        MVLM_TRY(ParseTensor(name, entry));
      }
    }
    MVLM_TRY(CheckTiling());
    std::stable_sort(
        file_.tensors_.begin(), file_.tensors_.end(),
        [](const NamedTensor& a, const NamedTensor& b) { return a.data.data() < b.data.data(); });
    for (size_t i = 0; i < file_.tensors_.size(); ++i) file_.index_.emplace(file_.tensors_[i].name, i);
    return std::move(file_);
  }

 private:
  struct Range {
    uint64_t begin, end;
    std::string name;
  };

  Result<Json> ParseHeader() {
    const std::string& path = file_.path_;
    uint64_t length = 0;
    if (bytes_.size() < sizeof(length)) {
      return Fail("{}: {} bytes are no safetensors file", path, bytes_.size());
    }
    std::memcpy(&length, bytes_.data(), sizeof(length));
    if (length > kMaxHeaderBytes || length > bytes_.size() - sizeof(length)) {
      return Fail("{}: not a safetensors file, or truncated: header of {} bytes in a file of {}", path,
                  length, bytes_.size());
    }
    data_ = bytes_.subspan(sizeof(length) + length);
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data() + sizeof(length)), length);
    // The JSON library would keep the last of equal names.
    std::set<std::string> names;
    std::string duplicate;
    const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
      if (event == Json::parse_event_t::key && depth == 1 && !names.insert(value.get<std::string>()).second) {
        duplicate = value.get<std::string>();
      }
      return true;
    };
    MVLM_ASSIGN(Json header, ParseJson(text, fmt::format("{}: the safetensors header", path), watch));
    if (!header.is_object()) return Fail("{}: the safetensors header is not a JSON object", path);
    if (!duplicate.empty()) return Fail("{}: tensor {} appears twice", path, duplicate);
    return header;
  }

  Status ParseMetadata(const Json& entry) {
    if (!entry.is_object()) return Fail("{}: __metadata__ is not an object", file_.path_);
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) return Fail("{}: __metadata__: wanted strings only", file_.path_);
      file_.metadata_[key] = value.get<std::string>();
    }
    return {};
  }

  Status ParseTensor(const std::string& name, const Json& entry) {
    const std::string& path = file_.path_;
    if (!IsPrintable(name)) return Fail("{}: a tensor's name contains control characters", path);
    if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() ||
        !entry.contains("shape") || !entry.contains("data_offsets")) {
      return Fail("{}: tensor {}: wanted dtype, shape and data_offsets", path, name);
    }
    const std::string dtype = entry["dtype"].get<std::string>();
    const auto shape = Numbers(entry["shape"]);
    const auto offsets = Numbers(entry["data_offsets"]);
    if (!shape || shape->size() > kMaxDimensions) {
      return Fail("{}: tensor {}: shape: wanted at most {} sizes", path, name, kMaxDimensions);
    }
    if (!offsets || offsets->size() != 2 || (*offsets)[0] > (*offsets)[1] || (*offsets)[1] > data_.size()) {
      return Fail("{}: tensor {}: data_offsets: wanted [begin, end] within {} bytes of data: truncated?",
                  path, name, data_.size());
    }
    const uint64_t begin = (*offsets)[0];
    const uint64_t end = (*offsets)[1];
    ranges_.push_back({begin, end, name});
    const auto type = ReadableType(dtype);
    if (!type) {
      if (!IsPrintable(dtype)) return Fail("{}: tensor {}: dtype contains control characters", path, name);
      file_.others_.push_back({name, dtype});
      return {};
    }
    if (DenseBytes(*type, *shape) != end - begin) {
      return Fail("{}: tensor {}: {} of shape [{}] does not take {} bytes", path, name, dtype,
                  fmt::join(*shape, ", "), end - begin);
    }
    file_.tensors_.push_back({name, *type, *shape, data_.subspan(begin, end - begin)});
    return {};
  }

  Status CheckTiling() {
    std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) {
      return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
    });
    uint64_t at = 0;
    for (const Range& range : ranges_) {
      if (range.begin != at) {
        return Fail("{}: tensor {} begins at {}, wanted {}: overlapping or missing data", file_.path_,
                    range.name, range.begin, at);
      }
      at = range.end;
    }
    if (at != data_.size()) {
      return Fail("{}: {} bytes of data, but the tensors take {}", file_.path_, data_.size(), at);
    }
    return {};
  }

  std::span<const std::byte> bytes_;
  std::span<const std::byte> data_;
  SafetensorsFile file_;
  std::vector<Range> ranges_;
};

Result<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  MVLM_ASSIGN(MappedFile mapping, MappedFile::Open(path));
  MVLM_ASSIGN(SafetensorsFile file, Parse(mapping.bytes(), path));
  file.mapping_.push_back(std::move(mapping));
  return file;
}

Result<SafetensorsFile> SafetensorsFile::Parse(std::span<const std::byte> bytes, const std::string& name) {
  return SafetensorsParser(bytes, name).Parse();
}

const NamedTensor* SafetensorsFile::Find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

Result<const NamedTensor*> SafetensorsFile::Require(std::string_view name) const {
  if (const NamedTensor* tensor = Find(name)) return tensor;
  return NotReadable(path_, name, others_);
}

void SafetensorsFile::Release(std::span<const std::byte> data) const {
  if (!mapping_.empty()) mapping_.front().Release(data);
}

Status WriteSafetensors(const std::string& path, std::span<const StreamedTensor> tensors,
                        const std::map<std::string, std::string>& metadata) {
  std::vector<const StreamedTensor*> order;
  for (const StreamedTensor& tensor : tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(), [](const StreamedTensor* a, const StreamedTensor* b) {
    return GetDTypeInfo(a->type).block_bytes > GetDTypeInfo(b->type).block_bytes;
  });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[std::string(kMetadataKey)] = metadata;
  std::set<std::string_view> names;
  uint64_t offset = 0;
  for (const StreamedTensor* tensor : order) {
    MVLM_CHECK(ReadableType(DTypeName(tensor->type)).has_value(), "{} is {}", tensor->name,
               DTypeName(tensor->type));
    MVLM_CHECK(names.insert(tensor->name).second, "{} is written twice", tensor->name);
    const auto size = DenseBytes(tensor->type, tensor->shape);
    MVLM_CHECK(size.has_value(), "{} is too large", tensor->name);
    header[tensor->name] = {{"dtype", DTypeName(tensor->type)},
                            {"shape", tensor->shape},
                            {"data_offsets", {offset, offset + *size}}};
    offset += *size;
  }
  using Handler = nlohmann::ordered_json::error_handler_t;
  std::string text = header.dump(-1, ' ', /*ensure_ascii=*/false, Handler::replace);
  text.append((8 - text.size() % 8) % 8, ' ');
  MVLM_ASSIGN(AtomicFile file, AtomicFile::Create(path));
  const uint64_t length = text.size();
  MVLM_TRY(file.Write(&length, sizeof(length)));
  MVLM_TRY(file.Write(text));
  for (const StreamedTensor* tensor : order) {
    const uint64_t begin = file.bytes_written();
    MVLM_TRY(tensor->stream(
        [&file](std::span<const std::byte> bytes) { return file.Write(bytes.data(), bytes.size()); }));
    MVLM_CHECK(file.bytes_written() - begin == DenseBytes(tensor->type, tensor->shape), "{}: {} bytes",
               tensor->name, file.bytes_written() - begin);
  }
  return file.Commit();
}

Status WriteSafetensors(const std::string& path, std::span<const NamedTensor> tensors,
                        const std::map<std::string, std::string>& metadata) {
  std::vector<StreamedTensor> streamed;
  for (const NamedTensor& tensor : tensors) {
    streamed.push_back({tensor.name, tensor.type, tensor.shape,
                        [&tensor](const StreamedTensor::ByteSink& sink) { return sink(tensor.data); }});
  }
  return WriteSafetensors(path, streamed, metadata);
}

}  // namespace mobilevlm
