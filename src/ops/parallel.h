// How ops split rows over the threads: in contiguous ranges, never inside a row, so that the split cannot
// change a result.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>

#include "ops/context.h"

namespace mobilevlm {

// Work below this many elements is not worth waking a thread for (a few microseconds).
constexpr size_t kElementsPerItem = 1 << 14;

// body(begin, end) on disjoint ranges that cover [0, rows). `elements` is the size of one row's work.
template <class Body>
void ParallelRows(const OpsContext& ctx, size_t rows, size_t elements, const Body& body) {
  if (rows == 0) return;
  const size_t most = static_cast<size_t>(ctx.pool->threads()) * 4;
  const size_t wanted = rows * std::max<size_t>(elements, 1) / kElementsPerItem;
  const size_t items = std::clamp<size_t>(std::min(wanted, most), 1, rows);
  if (items == 1) {
    body(size_t{0}, rows);
    return;
  }
  const auto item = [&](size_t i) { body(i * rows / items, (i + 1) * rows / items); };
  ctx.pool->ParallelFor(items, std::ref(item));
}

}  // namespace mobilevlm
