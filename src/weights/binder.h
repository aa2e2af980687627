// WeightBinder: joins the tensor table (schema/) with the views that the operators read (ops/). Each stage
// binds its own weights with it, by their Hugging Face names; what the file calls them is schema's business.
//
// What goes wrong is remembered, not returned, so that binding code reads as a list; ask status() once at the
// end.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "gguf/reader.h"
#include "ops/linear.h"
#include "ops/pack_weights.h"
#include "schema/tensors.h"
#include "tensor/mat.h"
#include "weights/weight_store.h"

namespace mobilevlm {

struct NormWeights {
  std::span<const float> gamma;  // "weight"
  std::span<const float> beta;   // "bias"
};

class WeightBinder {
 public:
  // An Error names the first tensor of `specs` that is missing or has another shape or type than they say.
  // `file` must outlive all views, `store` the binder and all views, `pool` the binder.
  static Result<WeightBinder> Create(const GgufFile& file, std::span<const TensorSpec> specs,
                                     WeightStore* store, ThreadPool* pool,
                                     PackScales scales = PackScales::kAsStored);

  // From here on float matrices are packed too (ops/float_panels.h).
  void PackFloats() { pack_floats_ = true; }

  // From here on matrices get LinearWeights::may_split.
  void AllowSplit() { may_split_ = true; }

  // A matrix [outputs, product of the rest] to multiply with. Quantised ones, and float ones after
  // PackFloats, are packed here, by all threads, and the file's pages are given back, so that memory never
  // holds both; the others stay views of the file. Names are in the table (else we abort).
  LinearWeights Matrix(const std::string& name);
  // A matrix whose rows are looked up: always a view of the file.
  LinearWeights Table(const std::string& name);
  // `name`.weight with `name`.bias.
  LinearWeights MatrixAndBias(const std::string& name);
  // All elements, widened to float.
  std::span<const float> Floats(const std::string& name);
  // The same as a matrix [rows, elements / rows].
  Mat<const float> FloatMatrix(const std::string& name, size_t rows);
  // `name`.weight and `name`.bias.
  NormWeights Norm(const std::string& name);

  const Status& status() const { return status_; }

 private:
  WeightBinder(const GgufFile& file, TensorMap tensors, WeightStore* store, ThreadPool* pool,
               PackScales scales)
      : file_(&file), tensors_(std::move(tensors)), store_(store), pool_(pool), scales_(scales) {}

  // Gets `panels * panel_bytes` bytes, has all threads call pack(begin, end, packed) for ranges of panels and
  // gives the file's pages back. nullptr, and an Error in status(), if there is no memory.
  using Packer = std::function<void(size_t begin, size_t end, std::byte* packed)>;
  const std::byte* Pack(const GgufTensor& tensor, size_t panels, size_t panel_bytes, const Packer& pack);

  const GgufFile* file_;
  TensorMap tensors_;
  WeightStore* store_;
  ThreadPool* pool_;
  PackScales scales_;
  bool may_split_ = false;
  bool pack_floats_ = false;
  Status status_;
};

}  // namespace mobilevlm
