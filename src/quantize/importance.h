// The importance matrix: how much the columns of each weight matrix matter, which is the mean square of the
// activations they meet. Rounding errors of columns that meet large activations cost more, so the encoders
// weigh them (quantize/encode.h).
//
// The file is llama.cpp's: a GGUF with general.type "imatrix" that holds, for a tensor NAME, the sums of
// squares NAME.in_sum2 [1, columns] and the number of rows they were summed over NAME.counts [1, 1], float32.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace mobilevlm {

class Importance {
 public:
  // Adds the squares of the rows of x [rows, cols] that `tensor` was multiplied with. Always the same cols.
  void Add(const std::string& tensor, const float* x, size_t rows, size_t cols, size_t stride);

  // `dataset` and `samples` say where it comes from. Written atomically.
  Status Save(const std::string& path, const std::string& dataset, uint32_t samples) const;

  // An Error names what is no importance matrix, not finite, or of several experts.
  static Result<Importance> Load(const std::string& path);

  // A weight per column: its mean square, but at least a millionth of the average, so that no column is given
  // up entirely. Empty if nothing is known of the tensor.
  std::vector<float> Of(const std::string& tensor) const;

  size_t tensors() const { return entries_.size(); }

 private:
  struct Entry {
    std::vector<double> squares;  // per column
    double rows = 0;
  };
  std::map<std::string, Entry> entries_;
};

}  // namespace mobilevlm
