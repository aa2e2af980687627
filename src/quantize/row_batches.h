// A tensor of any size from one form into another: its rows are cut for the threads, and a few megabytes at a
// time go to the file.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "base/result.h"
#include "base/thread_pool.h"

namespace mobilevlm {

struct RowBatches {
  ThreadPool* pool = nullptr;
  size_t rows = 0;
  size_t columns = 0;
  size_t row_bytes = 0;  // of a row in its new form

  // The largest number of items in one batch.
  size_t batch_items() const;

  // Writes rows [begin, end) in their new form to `out`. Called on all threads at once; `item` counts the
  // calls of one batch from 0, and which rows it has does not depend on the threads.
  using EncodeRows = std::function<void(size_t item, size_t begin, size_t end, std::byte* out)>;
  // `bytes` are the rows up to `end`, all of one batch that had `items` items. An Error ends the work.
  using TakeBatch = std::function<Status(size_t items, size_t end, std::span<const std::byte> bytes)>;
  Status Run(const EncodeRows& encode, const TakeBatch& take) const;
};

}  // namespace mobilevlm
