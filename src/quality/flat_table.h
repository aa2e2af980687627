// A hash table of 64-bit keys that are hashes themselves, 12 bytes an entry: millions of rows fit where a
// standard map would not. Keys are never removed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mobilevlm::quality {

class FlatTable {
 public:
  static constexpr uint32_t kNone = 0xFFFFFFFFu;

  explicit FlatTable(size_t expected = 0) { Resize(expected); }

  // The value of the key, `initial` if it is new.
  uint32_t& At(uint64_t key, uint32_t initial = kNone) {
    if ((size_ + 1) * 4 > keys_.size() * 3) Resize(keys_.size());
    const size_t slot = SlotOf(key);
    if (keys_[slot] == 0) {
      keys_[slot] = key | kUsed;
      values_[slot] = initial;
      ++size_;
    }
    return values_[slot];
  }
  // kNone if the key is not there.
  uint32_t Find(uint64_t key) const {
    const size_t slot = SlotOf(key);
    return keys_[slot] == 0 ? kNone : values_[slot];
  }
  bool Has(uint64_t key) const { return keys_[SlotOf(key)] != 0; }
  size_t size() const { return size_; }

 private:
  static constexpr uint64_t kUsed = uint64_t{1} << 63;  // so that no key in use is 0

  size_t SlotOf(uint64_t key) const {
    const size_t mask = keys_.size() - 1;
    size_t slot = static_cast<size_t>(key * 0x9E3779B97F4A7C15ull >> 20) & mask;
    while (keys_[slot] != 0 && keys_[slot] != (key | kUsed)) slot = (slot + 1) & mask;
    return slot;
  }

  void Resize(size_t expected) {
    size_t capacity = 16;
    while (capacity * 3 < expected * 4 + 4) capacity *= 2;
    std::vector<uint64_t> keys(capacity, 0);
    std::vector<uint32_t> values(capacity, kNone);
    keys.swap(keys_);
    values.swap(values_);
    for (size_t i = 0; i < keys.size(); ++i) {
      if (keys[i] == 0) continue;
      const size_t slot = SlotOf(keys[i]);
      keys_[slot] = keys[i];
      values_[slot] = values[i];
    }
  }

  std::vector<uint64_t> keys_;
  std::vector<uint32_t> values_;
  size_t size_ = 0;
};

}  // namespace mobilevlm::quality
