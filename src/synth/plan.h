// Which tensors a synthetic file holds, in which types, and how their random values are distributed.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "schema/tensors.h"
#include "synth/random_weights.h"
#include "tensor/dtype.h"

namespace mobilevlm {

struct PlannedTensor {
  TensorSpec spec;
  DType type;
  Distribution distribution;

  uint64_t elements() const;
  uint64_t bytes() const;
};

// `layers` is the number of blocks that add to one residual stream. A type whose blocks do not divide a row
// is an Error that names the tensor.
Result<std::vector<PlannedTensor>> PlanTensors(const std::vector<TensorSpec>& specs, DType matrices,
                                               int layers);

// Streams planned tensors one after another, and shows how far the file is.
class PlannedWeights {
 public:
  PlannedWeights(RandomWeights& weights, const std::string& path, uint64_t total_bytes);

  Status Stream(const PlannedTensor& tensor, const GgufWriter::ByteSink& sink);

 private:
  RandomWeights& weights_;
  Progress progress_;
  uint64_t done_ = 0;
};

}  // namespace mobilevlm
