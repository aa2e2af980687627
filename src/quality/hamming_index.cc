#include "quality/hamming_index.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace mobilevlm::quality {
namespace {
constexpr int kWidth = 13;  // bits of a band; the last has 12
constexpr size_t kValues = size_t{1} << kWidth;

uint32_t Band(uint64_t hash, size_t band) {
  return static_cast<uint32_t>(hash >> (kWidth * band)) & static_cast<uint32_t>(kValues - 1);
}
}  // namespace

HammingIndex::HammingIndex(int distance) : distance_(distance), buckets_(kBands * kValues) {
  MVLM_CHECK(distance >= 0 && distance <= 11, "distance {}", distance);
  for (uint32_t flip = 0; flip < kValues; ++flip) {
    if (std::popcount(flip) <= distance / static_cast<int>(kBands)) flips_.push_back(flip);
  }
}

void HammingIndex::Add(uint64_t hash) {
  for (size_t band = 0; band < kBands; ++band) {
    Bucket& bucket = buckets_[band * kValues + Band(hash, band)];
    bucket.hashes.push_back(hash);
    bucket.numbers.push_back(static_cast<uint32_t>(size_));
  }
  ++size_;
}

void HammingIndex::ForEachNear(uint64_t hash, const std::function<void(uint32_t)>& found) const {
  for (size_t band = 0; band < kBands; ++band) {
    for (const uint32_t flip : flips_) {
      const Bucket& bucket = buckets_[band * kValues + (Band(hash, band) ^ flip)];
      const size_t count = bucket.hashes.size();
      for (size_t i = count - std::min(count, kMostLookedAt); i < count; ++i) {
        if (std::popcount(hash ^ bucket.hashes[i]) <= distance_) found(bucket.numbers[i]);
      }
    }
  }
}

}  // namespace mobilevlm::quality
