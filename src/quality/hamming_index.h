// Finds 64-bit hashes that differ in few bits, among millions, without comparing all pairs: multi-index
// hashing (Norouzi, Punjani, Fleet, CVPR 2012). The hash is cut into 5 bands; if at most d bits differ, at
// least one band differs in at most d / 5 of them. The hashes of a band's value stand one after the other: a
// search reads memory in a row.
//
// Where very many hashes share a band (pictures of one layout, texts of few words), a search looks at the
// newest 4,096 of them only: time stays in proportion, and what is missed there is one of many alike. Hashes
// that have nothing in common reach that at 17 million.
//
// 60 bytes a hash. Thread contract: concurrent searches are fine while nobody adds.
#pragma once

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

  size_t size() const { return size_; }

 private:
  static constexpr size_t kBands = 5;
  static constexpr size_t kMostLookedAt = 4096;  // of one band's value

  // The hashes with one value of a band, oldest first.
  struct Bucket {
    std::vector<uint64_t> hashes;
    std::vector<uint32_t> numbers;
  };

  int distance_;
  size_t size_ = 0;
  std::vector<uint32_t> flips_;  // changes of a band that a search tries
  std::vector<Bucket> buckets_;  // [5, 8192]
};

}  // namespace mobilevlm::quality
