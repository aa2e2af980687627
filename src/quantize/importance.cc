#include "quantize/importance.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "gguf/reader.h"
#include "gguf/writer.h"
#include "tensor/dequantize.h"

namespace mobilevlm {
namespace {

constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";
constexpr double kLeastShare = 1e-6;  // of the average column

GgufWriter::DataProvider Floats(std::vector<float> values) {
  return [values = std::move(values)]() -> Result<std::vector<std::byte>> {
    const auto* begin = reinterpret_cast<const std::byte*>(values.data());
    return std::vector<std::byte>(begin, begin + values.size() * sizeof(float));
  };
}

// The finite, non-negative values of a float32 tensor of one matrix.
Result<std::vector<float>> ReadFloats(const GgufFile& file, const GgufTensor& tensor) {
  if (tensor.type != DType::kF32 || tensor.elements() != tensor.shape.back()) {
    return Fail("{}: tensor {}: wanted one row of F32, found {} {}", file.path(), tensor.name,
                ShapeText(tensor.shape), DTypeName(tensor.type));
  }
  std::vector<float> values = DequantizeTensor(tensor.type, tensor.data);
  for (const float value : values) {
    if (!(value >= 0) || !std::isfinite(value)) {
      return Fail("{}: tensor {} holds {}, wanted finite values from 0", file.path(), tensor.name, value);
    }
  }
  return values;
}

}  // namespace

void Importance::Add(const std::string& tensor, const float* x, size_t rows, size_t cols, size_t stride) {
  Entry& entry = entries_[tensor];
  if (entry.squares.empty()) entry.squares.resize(cols);
  MVLM_CHECK(entry.squares.size() == cols, "{}: {} columns, then {}", tensor, entry.squares.size(), cols);
  for (size_t r = 0; r < rows; ++r, x += stride) {
    for (size_t c = 0; c < cols; ++c) entry.squares[c] += double{x[c]} * x[c];
  }
  entry.rows += static_cast<double>(rows);
}

Status Importance::Save(const std::string& path, const std::string& dataset, uint32_t samples) const {
  GgufWriter out;
  out.SetString("general.type", "imatrix");
  out.SetStrings("imatrix.datasets", std::vector<std::string>{dataset});
  out.SetU32("imatrix.chunk_count", samples);
  out.SetU32("imatrix.chunk_size", 1);
  for (const auto& [name, entry] : entries_) {
    out.AddTensor(name + std::string(kSums), DType::kF32, {1, entry.squares.size()},
                  Floats({entry.squares.begin(), entry.squares.end()}));
    out.AddTensor(name + std::string(kCounts), DType::kF32, {1, 1}, Floats({static_cast<float>(entry.rows)}));
  }
  return out.Write(path);
}

Result<Importance> Importance::Load(const std::string& path) {
  MVLM_ASSIGN(const GgufFile file, GgufFile::Open(path));
  const auto type = file.GetString("general.type");
  if (!type || *type != "imatrix") {
    return Fail("{}: no importance matrix: general.type is not \"imatrix\"", path);
  }
  Importance importance;
  for (const GgufTensor& sums : file.tensors()) {
    if (!sums.name.ends_with(kSums)) continue;
    const std::string name = sums.name.substr(0, sums.name.size() - kSums.size());
    const GgufTensor* counts = file.FindTensor(name + std::string(kCounts));
    if (counts == nullptr) return Fail("{}: tensor {}{} is missing", path, name, kCounts);
    MVLM_ASSIGN(const std::vector<float> squares, ReadFloats(file, sums));
    MVLM_ASSIGN(const std::vector<float> rows, ReadFloats(file, *counts));
    if (rows.size() != 1 || rows[0] == 0) {
      return Fail("{}: tensor {}: wanted one count above 0", path, counts->name);
    }
    importance.entries_[name] = {{squares.begin(), squares.end()}, rows[0]};
  }
  if (importance.entries_.empty()) return Fail("{}: the importance matrix is empty", path);
  return importance;
}

std::vector<float> Importance::Of(const std::string& tensor) const {
  const auto found = entries_.find(tensor);
  if (found == entries_.end()) return {};
  const Entry& entry = found->second;
  double average = 0;
  for (const double square : entry.squares) average += square / static_cast<double>(entry.squares.size());
  // Nothing at all was seen: every column counts the same.
  if (average == 0) return std::vector<float>(entry.squares.size(), 1.0f);
  // The encoders compare sums of weights; what matters is their ratio, so the average becomes 1.
  std::vector<float> weights;
  for (const double square : entry.squares) {
    weights.push_back(static_cast<float>(std::max(square / average, kLeastShare)));
  }
  return weights;
}

}  // namespace mobilevlm
