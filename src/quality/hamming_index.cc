#include "quality/hamming_index.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace mobilevlm::quality {
namespace {
constexpr int kBits = 64;
constexpr int kWidest = 16;  // bits of a band that tell values apart
}  // namespace

HammingIndex::HammingIndex(int distance) : distance_(distance) {
  MVLM_CHECK(distance >= 0 && distance <= 11, "distance {}", distance);
  const int bands = distance + 1;
  size_t buckets = 0;
  for (int band = 0; band <= bands; ++band) begins_.push_back(kBits * band / bands);
  for (int band = 0; band < bands; ++band) {
    offsets_.push_back(buckets);
    buckets += size_t{1} << std::min(
                   begins_[static_cast<size_t>(band) + 1] - begins_[static_cast<size_t>(band)], kWidest);
  }
  buckets_.resize(buckets);
}

size_t HammingIndex::PlaceOf(uint64_t hash, size_t band) const {
  const int width = std::min(begins_[band + 1] - begins_[band], kWidest);
  return offsets_[band] + (hash >> begins_[band] & ((uint64_t{1} << width) - 1));
}

void HammingIndex::Add(uint64_t hash) {
  for (size_t band = 0; band < offsets_.size(); ++band) {
    Bucket& bucket = buckets_[PlaceOf(hash, band)];
    bucket.hashes.push_back(hash);
    bucket.numbers.push_back(static_cast<uint32_t>(size_));
  }
  ++size_;
}

void HammingIndex::ForEachNear(uint64_t hash, const std::function<void(uint32_t)>& found) const {
  for (size_t band = 0; band < offsets_.size(); ++band) {
    const Bucket& bucket = buckets_[PlaceOf(hash, band)];
    const size_t count = bucket.hashes.size();
    for (size_t i = count - std::min(count, kMostLookedAt); i < count; ++i) {
      if (std::popcount(hash ^ bucket.hashes[i]) <= distance_) found(bucket.numbers[i]);
    }
  }
}

}  // namespace mobilevlm::quality
