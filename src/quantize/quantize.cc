#include "quantize/quantize.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "gguf/writer.h"
#include "quantize/encode.h"
#include "quantize/fit.h"
#include "quantize/row_batches.h"
#include "tensor/dequantize.h"

namespace mobilevlm {
namespace {

constexpr uint64_t kQuantizationVersion = 2;  // of the block formats, in general.quantization_version
constexpr size_t kCopyBytes = 8 << 20;

// Sums over some of a tensor's values.
struct ErrorSums {
  double squares = 0;  // of the errors
  double energy = 0;   // of the values
  double max = 0;

  void Add(const ErrorSums& other) {
    squares += other.squares;
    energy += other.energy;
    max = std::max(max, other.max);
  }
};

ErrorSums CompareRow(const float* x, const float* back, size_t n) {
  fit::Lanes squares = fit::Splat(0);
  fit::Lanes energy = fit::Splat(0);
  fit::Lanes max = fit::Splat(0);
  const size_t whole = n / 4 * 4;
  for (size_t i = 0; i < whole; i += 4) {
    const fit::Lanes value = fit::Load(x + i);
    const fit::Lanes error = value - fit::Load(back + i);
    squares += error * error;
    energy += value * value;
    max = fit::AtLeast(fit::AtLeast(max, error), -error);
  }
  ErrorSums sums{fit::Sum(squares), fit::Sum(energy), fit::Greatest(max)};
  for (size_t i = whole; i < n; ++i) {
    const double error = double{x[i]} - double{back[i]};
    sums.Add({error * error, double{x[i]} * x[i], std::fabs(error)});
  }
  return sums;
}

// The rows of one tensor, cut for the threads.
class TensorEncoder {
 public:
  TensorEncoder(const QuantizeJob& job, const TensorPlan& plan, uint64_t done_before)
      : job_(job),
        plan_(plan),
        done_(done_before),
        cols_(plan.tensor->shape.back()),
        rows_(plan.tensor->elements() / cols_),
        in_row_(plan.tensor->data.size() / rows_),
        out_row_(plan.bytes() / rows_) {
    if (job.importance != nullptr) importance_ = job.importance->Of(plan.tensor->name);
  }

  Status Run(const GgufWriter::ByteSink& sink, TensorError& error) {
    if (!importance_.empty() && importance_.size() != cols_) {
      return Fail("the importance of {} is of {} columns, but in {} it has {}", plan_.tensor->name,
                  importance_.size(), job_.file->path(), cols_);
    }
    const RowBatches batches{job_.pool, rows_, cols_, out_row_};
    std::vector<ErrorSums> sums(
        batches.batch_items());  // added in order: the report does not depend on threads
    ErrorSums total;
    const auto encode = [&](size_t item, size_t begin, size_t end, std::byte* out) {
      sums[item] = EncodeRows(begin, end, out);
    };
    const auto take = [&](size_t items, size_t end, std::span<const std::byte> bytes) -> Status {
      for (size_t i = 0; i < items; ++i) total.Add(sums[i]);
      if (!std::isfinite(total.squares)) {
        return Fail("{}: tensor {} holds values that are not finite or that {} cannot hold",
                    job_.file->path(), plan_.tensor->name, DTypeName(plan_.type));
      }
      MVLM_TRY(sink(bytes));
      job_.file->ReleasePages(*plan_.tensor);
      return job_.progress ? job_.progress(done_ + end * in_row_) : Status();
    };
    MVLM_TRY(batches.Run(encode, take));
    const double elements = static_cast<double>(rows_ * cols_);
    error = {std::sqrt(total.squares / elements),
             total.energy > 0 ? std::sqrt(total.squares / total.energy) : 0, total.max};
    return {};
  }

 private:
  ErrorSums EncodeRows(size_t begin, size_t end, std::byte* out) const {
    std::vector<float> values(cols_);
    std::vector<float> back(cols_);
    ErrorSums sums;
    for (size_t row = begin; row < end; ++row, out += out_row_) {
      Dequantize(plan_.tensor->type, plan_.tensor->data.data() + row * in_row_, cols_, values.data());
      Encode(plan_.type, values.data(), cols_, importance_.empty() ? nullptr : importance_.data(), out);
      Dequantize(plan_.type, out, cols_, back.data());
      sums.Add(CompareRow(values.data(), back.data(), cols_));
    }
    return sums;
  }

  const QuantizeJob& job_;
  const TensorPlan& plan_;
  const uint64_t done_;  // bytes of the input before this tensor
  const size_t cols_;
  const size_t rows_;
  const size_t in_row_;  // bytes
  const size_t out_row_;
  std::vector<float> importance_;  // of the columns; empty: all the same
};

Status CopyTensor(const QuantizeJob& job, const GgufTensor& tensor, uint64_t done_before,
                  const GgufWriter::ByteSink& sink) {
  for (size_t at = 0; at < tensor.data.size(); at += kCopyBytes) {
    const auto part = tensor.data.subspan(at, std::min(kCopyBytes, tensor.data.size() - at));
    MVLM_TRY(sink(part));
    job.file->ReleasePages(tensor);
    if (job.progress) MVLM_TRY(job.progress(done_before + at + part.size()));
  }
  return {};
}

// Everything the input said, but for what changes. The writer aligns as it does, whatever the input did.
void CopyMetadata(const GgufFile& file, const QuantizePlan& plan, GgufWriter& out) {
  constexpr std::string_view kFileType = "general.file_type";
  constexpr std::string_view kVersion = "general.quantization_version";
  const GgufValue file_type{GgufType::kU32, uint64_t{plan.file_type}};
  const GgufValue version{GgufType::kU32, kQuantizationVersion};
  for (const auto& [key, value] : file.metadata()) {
    if (key == kGgufAlignmentKey || key == kVersion) continue;
    out.Set(key, key == kFileType ? file_type : value);
  }
  if (!file.Has(kFileType)) out.Set(kFileType, file_type);
  out.Set(kVersion, version);
}

}  // namespace

Result<std::vector<TensorError>> Quantize(const QuantizeJob& job) {
  GgufWriter out;
  CopyMetadata(*job.file, *job.plan, out);
  std::vector<TensorError> errors(job.plan->tensors.size());
  uint64_t done = 0;
  for (size_t i = 0; i < errors.size(); ++i) {
    const TensorPlan& plan = job.plan->tensors[i];
    out.AddStreamedTensor(plan.tensor->name, plan.type, plan.tensor->shape,
                          [&job, &plan, done, &error = errors[i]](const GgufWriter::ByteSink& sink) {
                            if (!plan.changes()) return CopyTensor(job, *plan.tensor, done, sink);
                            return TensorEncoder(job, plan, done).Run(sink, error);
                          });
    done += plan.tensor->data.size();
  }
  MVLM_TRY(out.Write(job.out));
  return errors;
}

}  // namespace mobilevlm
