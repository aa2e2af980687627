#include "train/parallel/bucket_layout.h"

#include <algorithm>

#include "base/check.h"

namespace mobilevlm::train {
namespace {

// Shares begin at whole cache lines.
constexpr int64_t kAlignment = 16;

}  // namespace

BucketLayout::BucketLayout(const std::vector<int64_t>& sizes, int processes, int64_t bucket_elements)
    : processes_(processes), sizes_(sizes), bucket_of_(sizes.size()), offset_of_(sizes.size()) {
  MVLM_CHECK(processes > 0 && bucket_elements > 0, "a layout for {} processes", processes);
  for (size_t i = sizes.size(); i-- > 0;) {
    if (buckets_.empty() || buckets_.back().elements + sizes[i] > bucket_elements) buckets_.emplace_back();
    Bucket& bucket = buckets_.back();
    bucket_of_[i] = buckets_.size() - 1;
    offset_of_[i] = bucket.elements;
    bucket.parameters.push_back(i);
    bucket.offsets.push_back(bucket.elements);
    bucket.elements += sizes[i];
  }
  const int64_t unit = kAlignment * processes;
  for (Bucket& bucket : buckets_) bucket.elements = (bucket.elements + unit - 1) / unit * unit;
}

std::vector<BucketLayout::Piece> BucketLayout::PiecesOf(int rank) const {
  std::vector<Piece> pieces;
  for (size_t p = 0; p < sizes_.size(); ++p) {
    const size_t b = bucket_of_[p];
    const int64_t first = share(b) * rank, last = first + share(b);  // of the bucket
    const int64_t begin = std::max(first - offset_of_[p], int64_t{0});
    const int64_t end = std::min(last - offset_of_[p], sizes_[p]);
    if (begin < end) pieces.push_back({p, begin, end, b, offset_of_[p] + begin});
  }
  return pieces;
}

}  // namespace mobilevlm::train
