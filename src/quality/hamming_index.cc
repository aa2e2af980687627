#include "quality/hamming_index.h"

#include <bit>
#include <utility>

#include "base/check.h"

namespace mobilevlm::quality {
namespace {
constexpr uint32_t kEnd = 0xFFFFFFFFu;
constexpr size_t kValues = 65536;  // of a band

uint16_t Band(uint64_t hash, size_t band) { return static_cast<uint16_t>(hash >> (16 * band)); }
}  // namespace

HammingIndex::HammingIndex(int distance) : distance_(distance), first_(kBands * kValues, kEnd) {
  MVLM_CHECK(distance >= 0 && distance <= 11, "distance {}", distance);
  for (uint32_t flip = 0; flip < kValues; ++flip) {
    if (std::popcount(flip) <= distance / static_cast<int>(kBands))
      flips_.push_back(static_cast<uint16_t>(flip));
  }
}

void HammingIndex::Add(uint64_t hash) {
  const auto number = static_cast<uint32_t>(entries_.size());
  Entry entry{.hash = hash};
  for (size_t band = 0; band < kBands; ++band) {
    entry.next[band] = std::exchange(first_[band * kValues + Band(hash, band)], number);
  }
  entries_.push_back(entry);
}

void HammingIndex::ForEachNear(uint64_t hash, const std::function<void(uint32_t)>& found) const {
  for (size_t band = 0; band < kBands; ++band) {
    for (const uint16_t flip : flips_) {
      const size_t value = Band(hash, band) ^ flip;
      uint32_t i = first_[band * kValues + value];
      for (int looked_at = 0; i != kEnd && looked_at < kMostLookedAt; ++looked_at) {
        const Entry& entry = entries_[i];
        if (std::popcount(hash ^ entry.hash) <= distance_) found(i);
        i = entry.next[band];
      }
    }
  }
}

}  // namespace mobilevlm::quality
