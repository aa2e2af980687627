// Which tensors a synthetic file holds, in which types, and how their random values are distributed.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

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

uint64_t BytesOf(const std::vector<PlannedTensor>& plan);

// How far the weights of a model are, over all of its files.
struct WrittenWeights {
  std::function<Status(uint64_t done, uint64_t total)> progress;  // or none; an Error stops the work
  uint64_t total = 0;
  uint64_t done = 0;
};

// Streams planned tensors one after another, and says how far they are.
class PlannedWeights {
 public:
  PlannedWeights(RandomWeights& weights, WrittenWeights& written) : weights_(weights), written_(written) {}

  Status Stream(const PlannedTensor& tensor, const GgufWriter::ByteSink& sink);

 private:
  RandomWeights& weights_;
  WrittenWeights& written_;
};

}  // namespace mobilevlm
