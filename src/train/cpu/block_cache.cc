#include "train/cpu/block_cache.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdint>

#include "base/check.h"

namespace mobilevlm::train {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
// A kept block may be this much larger than what is asked for: a quarter.
constexpr size_t kSpareDivisor = 4;

// Aligned to huge pages where one fits, so that the system can use them.
void* Map(size_t size) {
  const size_t spare = size >= kHugePage ? kHugePage : 0;
  void* mapped = ::mmap(nullptr, size + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  if (spare == 0) return mapped;
  const auto begin = reinterpret_cast<uintptr_t>(mapped);
  const uintptr_t aligned = (begin + kHugePage - 1) / kHugePage * kHugePage;
  if (aligned > begin) ::munmap(mapped, aligned - begin);
  const size_t behind = begin + spare - aligned;
  if (behind > 0) ::munmap(reinterpret_cast<void*>(aligned + size), behind);
  void* block = reinterpret_cast<void*>(aligned);
  ::madvise(block, size, MADV_HUGEPAGE);  // advice: without huge pages it is only slower
  return block;
}

}  // namespace

BlockCache::~BlockCache() {
  for (const auto& [freed, kept] : kept_) ::munmap(kept.block, kept.size);
}

size_t BlockCache::RoundedSize(size_t bytes) {
  const size_t step = std::max(std::bit_floor(std::max<size_t>(bytes, 1)) / 8, kAlignment);
  return (bytes + step - 1) / step * step;
}

void* BlockCache::TakeKept(size_t size) {
  const auto found = by_size_.lower_bound(size);
  if (found == by_size_.end() || found->first > size + size / kSpareDivisor) return nullptr;
  const auto kept = kept_.find(found->second);
  void* block = kept->second.block;
  kept_bytes_ -= found->first;
  used_bytes_ += found->first;
  used_.emplace(block, found->first);
  kept_.erase(kept);
  by_size_.erase(found);
  return block;
}

void BlockCache::ReturnSurplus() {
  while (kept_bytes_ > 0 && used_bytes_ + kept_bytes_ > peak_bytes_) {
    const auto [freed, oldest] = *kept_.begin();
    const auto [begin, end] = by_size_.equal_range(oldest.size);
    by_size_.erase(
        std::find_if(begin, end, [&, time = freed](const auto& item) { return item.second == time; }));
    kept_.erase(kept_.begin());
    kept_bytes_ -= oldest.size;
    ::munmap(oldest.block, oldest.size);
  }
}

void* BlockCache::Allocate(size_t bytes) {
  const size_t size = RoundedSize(std::max<size_t>(bytes, 1));
  const std::lock_guard lock(mutex_);
  void* block = TakeKept(size);
  if (block == nullptr) {
    used_bytes_ += size;
    peak_bytes_ = std::max(peak_bytes_, used_bytes_);
    ReturnSurplus();  // before there is more
    block = Map(size);
    if (block == nullptr) {
      used_bytes_ -= size;
      return nullptr;
    }
    used_.emplace(block, size);
  }
  peak_bytes_ = std::max(peak_bytes_, used_bytes_);
  return block;
}

void BlockCache::Free(void* block) {
  if (block == nullptr) return;
  const std::lock_guard lock(mutex_);
  const auto found = used_.find(block);
  MVLM_CHECK(found != used_.end(), "a block that is not in use");
  const size_t size = found->second;
  used_.erase(found);
  used_bytes_ -= size;
  kept_bytes_ += size;
  kept_.emplace(clock_, Kept{block, size});
  by_size_.emplace(size, clock_++);
}

bool BlockCache::Owns(void* block) const {
  const std::lock_guard lock(mutex_);
  return used_.contains(block);
}

size_t BlockCache::used_bytes() const {
  const std::lock_guard lock(mutex_);
  return used_bytes_;
}

size_t BlockCache::kept_bytes() const {
  const std::lock_guard lock(mutex_);
  return kept_bytes_;
}

}  // namespace mobilevlm::train
