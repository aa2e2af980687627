#include "quantize/row_batches.h"

#include <algorithm>
#include <vector>

#include "base/divide_up.h"

namespace mobilevlm {
namespace {

constexpr size_t kElementsPerItem = 256 << 10;  // what a thread takes at once: its rows fit the L2 cache
constexpr size_t kItemsPerThread = 8;           // in one batch; what is held in memory

}  // namespace

size_t RowBatches::batch_items() const { return kItemsPerThread * static_cast<size_t>(pool->threads()); }

Status RowBatches::Run(const EncodeRows& encode, const TakeBatch& take) const {
  const size_t rows_per_item = std::max<size_t>(1, kElementsPerItem / std::max<size_t>(1, columns));
  const size_t items = DivideUp(rows, rows_per_item);
  std::vector<std::byte> encoded;
  for (size_t first = 0; first < items; first += batch_items()) {
    const size_t count = std::min(batch_items(), items - first);
    const size_t begin = first * rows_per_item;
    const size_t end = std::min(rows, (first + count) * rows_per_item);
    encoded.resize((end - begin) * row_bytes);
    pool->ParallelFor(count, [&](size_t i) {
      const size_t from = begin + i * rows_per_item;
      encode(i, from, std::min(end, from + rows_per_item), encoded.data() + (from - begin) * row_bytes);
    });
    MVLM_TRY(take(count, end, encoded));
  }
  return {};
}

}  // namespace mobilevlm
