// Memory for large tensors that stays mapped: what one step frees, the next one uses again.
//
// malloc maps a large block anew each time and gives it back, and the system clears every page of it again: a
// LoRA step of the 1.7B spent a quarter of its time there. Blocks kept here cost that once, in huge pages.
//
// What is kept never lifts the peak: blocks in use and blocks kept together are at most as many bytes as were
// in use at once before; what is more goes back to the system, the longest unused first.
//
// Thread contract: safe from any thread.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <unordered_map>

namespace mobilevlm::train {

class BlockCache {
 public:
  static constexpr size_t kAlignment = 4096;

  BlockCache() = default;
  // Gives back what it keeps; blocks that are still in use stay.
  ~BlockCache();
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  // At least `bytes`, aligned to kAlignment, not cleared. nullptr: the system has no more.
  void* Allocate(size_t bytes);
  void Free(void* block);
  // Is it one of Allocate's that is in use?
  bool Owns(void* block) const;

  // What Allocate makes of a size: an eighth of a power of two more at most, so that nearly equal sizes share
  // blocks.
  static size_t RoundedSize(size_t bytes);

  size_t used_bytes() const;
  size_t kept_bytes() const;

 private:
  struct Kept {
    void* block;
    size_t size;
  };
  using Age = std::map<size_t, Kept>;  // by the time it was freed

  void* TakeKept(size_t size);
  void ReturnSurplus();

  mutable std::mutex mutex_;
  std::unordered_map<void*, size_t> used_;
  Age kept_;
  std::multimap<size_t, Age::key_type> by_size_;
  size_t clock_ = 0;
  size_t used_bytes_ = 0, kept_bytes_ = 0, peak_bytes_ = 0;  // peak: of used_bytes_
};

}  // namespace mobilevlm::train
