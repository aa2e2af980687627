// One tensor from a checkpoint's form into a file's: rows are put in order, changed and encoded by all
// threads, a few megabytes at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/thread_pool.h"
#include "checkpoint/lora.h"
#include "checkpoint/named_tensor.h"
#include "schema/tensors.h"

namespace mobilevlm {

enum class RowOrder { kAsStored, kHfToGguf, kGgufToHf };

struct TensorJob {
  NamedTensor stored;
  const LoraPair* pair = nullptr;  // what an adapter adds, or nothing
  const TensorSpec* spec = nullptr;
  RowOrder order = RowOrder::kAsStored;  // for tensors that spec->transform permutes
  DType type = DType::kF32;              // of the new form
  std::string where;                     // begins messages: "file: tensor name"
  ThreadPool* pool = nullptr;
  // After each piece, with the elements of the tensor that are done; gives back pages, reports progress. An
  // Error stops the work.
  std::function<Status(uint64_t elements)> done;
};

// The new form's bytes into `sink`. A value that is not finite or that the new type cannot hold is an Error:
// the file would not mean what it says. A tensor that only moves is copied bit by bit.
using ByteSink = std::function<Status(std::span<const std::byte>)>;
Status StreamTensor(const TensorJob& job, const ByteSink& sink);

}  // namespace mobilevlm
