// Finds 64-bit hashes that differ in few bits, among millions, without comparing all pairs: multi-index
// hashing (Norouzi, Punjani, Fleet, CVPR 2012). The hash is cut into 4 bands of 16 bits; if at most d bits
// differ, at least one band differs in at most d / 4 of them.
//
// Where very many hashes share a band (pictures of one layout, texts of few words), a search looks at the
// newest 128 of them only: time stays in proportion, and what is missed there is one of many alike.
//
// 24 bytes a hash. Thread contract: concurrent searches are fine while nobody adds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace mobilevlm::quality {

class HammingIndex {
 public:
  explicit HammingIndex(int distance);  // 0 to 11

  // Its number is the count of those added before.
  void Add(uint64_t hash);
  // Calls found(number) for every hash within the distance, in no order, some of them several times.
  void ForEachNear(uint64_t hash, const std::function<void(uint32_t)>& found) const;

  size_t size() const { return entries_.size(); }

 private:
  static constexpr size_t kBands = 4;
  static constexpr int kMostLookedAt = 128;  // of one band's value

  // The hash beside its links: a step of a search is one miss of the cache.
  struct Entry {
    uint64_t hash = 0;
    std::array<uint32_t, kBands> next = {};  // with the same band, newest first
  };

  int distance_;
  std::vector<uint16_t> flips_;  // changes of a band that a search tries
  std::vector<Entry> entries_;
  std::vector<uint32_t> first_;  // [4, 65536]
};

}  // namespace mobilevlm::quality
