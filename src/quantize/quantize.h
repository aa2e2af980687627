// From one GGUF file to a smaller one: every tensor of a plan is read, encoded, and compared with what it
// was.
//
// Files may be larger than the memory: a few megabytes of rows are worked on at a time, the pages of the
// input are given back behind them, and the output is written as it comes. It appears under its name only
// when it is complete (base/atomic_file.h), so a full disk, an Error or Ctrl-C leaves nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "quantize/importance.h"
#include "quantize/plan.h"

namespace mobilevlm {

// What rounding did to one tensor; all 0 if it was copied.
struct TensorError {
  double rms = 0;       // root of the mean squared error
  double relative = 0;  // rms over the root mean square of the values
  double max = 0;       // largest error of one value
};

struct QuantizeJob {
  const GgufFile* file = nullptr;
  const QuantizePlan* plan = nullptr;  // of that file
  std::string out;
  ThreadPool* pool = nullptr;
  const Importance* importance = nullptr;  // or none; tensors it does not know count all columns the same
  // Called between pieces of work with the bytes of the input that are done; an Error stops the work.
  std::function<Status(uint64_t done)> progress = nullptr;
};

// One entry per tensor of the plan. The same bytes whatever the number of threads. A value that is not
// finite, or that its new type cannot hold, is an Error that names the tensor, and so is an importance of
// another number of columns.
Result<std::vector<TensorError>> Quantize(const QuantizeJob& job);

}  // namespace mobilevlm
