// WeightBinder: joins the tensor table (schema/) with the views that the operators read (ops/). Each stage
// binds its own weights with it, by their Hugging Face names; what the file calls them is schema's business.
//
// A tensor that ops cannot read yet is remembered, not returned, so that binding code reads as a list; ask
// status() once at the end.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/reader.h"
#include "ops/linear.h"
#include "schema/tensors.h"
#include "tensor/mat.h"

namespace mobilevlm {

// Owns the small arrays that are widened to float: norms, biases, convolutions, positions. Moving it keeps
// every pointer valid.
using FloatStore = std::vector<AlignedBuffer<float>>;

struct NormWeights {
  std::span<const float> gamma;  // "weight"
  std::span<const float> beta;   // "bias"
};

class WeightBinder {
 public:
  // An Error names the first tensor of `specs` that is missing or has another shape or type than they say.
  // `file` must outlive all views, `store` the binder and all views.
  static Result<WeightBinder> Create(const GgufFile& file, std::span<const TensorSpec> specs,
                                     FloatStore* store);

  // A matrix as the file stores it: [shape[0], product of the rest]. Names are in the table (else we abort).
  LinearWeights Matrix(const std::string& name);
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
  WeightBinder(const GgufFile& file, TensorMap tensors, FloatStore* store)
      : path_(file.path()), tensors_(std::move(tensors)), store_(store) {}
  // False, with an Error in status_, if ops cannot read the type.
  bool Readable(const GgufTensor& tensor);

  std::string path_;
  TensorMap tensors_;
  FloatStore* store_;
  Status status_;
};

}  // namespace mobilevlm
