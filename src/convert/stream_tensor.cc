#include "convert/stream_tensor.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "base/check.h"
#include "convert/rope_rows.h"
#include "quantize/encode.h"
#include "quantize/row_batches.h"
#include "tensor/dequantize.h"

namespace mobilevlm {
namespace {

constexpr float kMaxF16 = 65504.0f;
constexpr size_t kRun = 4096;  // elements that are read together, where rows are shorter

// The largest magnitude of one value that `type` can hold next to any other values.
float Limit(DType type) {
  switch (type) {
    case DType::kF32:
    case DType::kBF16:
      return std::numeric_limits<float>::max();
    case DType::kQ8_0:
      return kMaxF16 * 127;  // the scale is an F16
    default:
      return kMaxF16;  // blocks hold at least their scale
  }
}

// The first value that `type` cannot hold; NaN is none that any type holds.
std::optional<float> FindUnstorable(DType type, std::span<const float> values) {
  const float limit = Limit(type);
  unsigned outside = 0;  // without a branch, so that it becomes vector code
  for (const float value : values) outside |= std::fabs(value) <= limit ? 0u : 1u;
  if (outside == 0) return std::nullopt;
  return *std::find_if(values.begin(), values.end(), [&](float v) { return !(std::fabs(v) <= limit); });
}

// Encodes runs of rows of one tensor. Each thread has one of these for its rows.
class RunEncoder {
 public:
  RunEncoder(const TensorJob& job, const LoraDelta* delta, size_t columns)
      : job_(job),
        delta_(delta),
        columns_(columns),
        copies_(delta == nullptr && job.stored.type == job.type) {}

  // `count` rows that are stored from `row` on, one after the other. The first value that does not fit.
  std::optional<float> Encode(size_t row, size_t count, std::byte* out) {
    const size_t n = count * columns_;
    values_.resize(n);
    if (copies_) {
      CopyElements(job_.stored, row * columns_, n, out);
      Dequantize(job_.type, out, n, values_.data());
      return FindUnstorable(job_.type, values_);
    }
    ReadElements(job_.stored, row * columns_, n, values_.data());
    if (delta_ != nullptr) delta_->AddTo(row * columns_, n, values_.data());
    const auto unstorable = FindUnstorable(job_.type, values_);
    mobilevlm::Encode(job_.type, values_.data(), n, nullptr, out);
    return unstorable;
  }

 private:
  const TensorJob& job_;
  const LoraDelta* delta_;
  const size_t columns_;
  const bool copies_;
  std::vector<float> values_;
};

}  // namespace

Status StreamTensor(const TensorJob& job, const ByteSink& sink) {
  const size_t columns = job.spec->shape.back();
  const size_t rows = job.stored.elements() / columns;
  const auto row_bytes = RowBytes(job.type, columns);
  MVLM_CHECK(row_bytes.has_value(), "{}: rows of {} as {}", job.where, columns, DTypeName(job.type));
  std::optional<LoraDelta> delta;
  if (job.pair != nullptr) delta.emplace(*job.pair);

  const bool permuted = job.spec->transform == TensorTransform::kRopeRows && job.order != RowOrder::kAsStored;
  const size_t head_dim = permuted ? rows / static_cast<size_t>(job.spec->heads) : 0;
  const auto source_row = [&](size_t row) {
    if (!permuted) return row;
    return job.order == RowOrder::kHfToGguf ? HfRowOf(row, head_dim) : GgufRowOf(row, head_dim);
  };
  const size_t run = permuted || delta ? 1 : std::max<size_t>(1, kRun / columns);

  const RowBatches batches{job.pool, rows, columns, *row_bytes};
  std::vector<std::optional<float>> unstorable(batches.batch_items());
  const auto encode = [&](size_t item, size_t begin, size_t end, std::byte* out) {
    RunEncoder encoder(job, delta ? &*delta : nullptr, columns);
    for (size_t row = begin; row < end; row += run) {
      const size_t count = std::min(run, end - row);
      const auto value = encoder.Encode(source_row(row), count, out + (row - begin) * *row_bytes);
      if (value && !unstorable[item]) unstorable[item] = value;
    }
  };
  const auto take = [&](size_t items, size_t end, std::span<const std::byte> bytes) -> Status {
    for (size_t i = 0; i < items; ++i) {
      if (!unstorable[i]) continue;
      return Fail("{}: the value {} cannot be stored as {}", job.where, *unstorable[i], DTypeName(job.type));
    }
    MVLM_TRY(sink(bytes));
    return job.done ? job.done(end * columns) : Status();
  };
  return batches.Run(encode, take);
}

}  // namespace mobilevlm
