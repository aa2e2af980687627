#include "data/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <numeric>
#include <set>

#include "base/random.h"

namespace mobilevlm::data {
namespace {

// Leaves everything where it is, so that the result can be worked out by hand.
struct Identity : Shuffler {
  std::vector<uint32_t> Permutation(size_t n) override {
    std::vector<uint32_t> result(n);
    std::iota(result.begin(), result.end(), 0u);
    return result;
  }
};
// Back to front.
struct Reverse : Shuffler {
  std::vector<uint32_t> Permutation(size_t n) override {
    std::vector<uint32_t> result(n);
    std::iota(result.rbegin(), result.rend(), 0u);
    return result;
  }
};

using Indices = std::vector<uint32_t>;

// Expected values: the official get_modality_length_grouped_indices in Python, randperm replaced by range.
TEST(GroupedIndices, OneModalityByHand) {
  Identity identity;
  // Megabatches of 4: {3,9,1,7} -> longest first 9,7,3,1 -> chunks {9,1}, {7,3}; {5,5,2} in turns: {5,2},{5}.
  EXPECT_EQ(GroupedIndices(std::vector<int32_t>{3, 9, 1, 7, 5, 5, 2}, 2, 2, identity),
            (Indices{1, 2, 3, 0, 4, 6, 5}));
  // Text alone: the same.
  EXPECT_EQ(GroupedIndices(std::vector<int32_t>{-3, -9, -1, -7, -5, -5, -2}, 2, 2, identity),
            (Indices{1, 2, 3, 0, 4, 6, 5}));
  Reverse reverse;
  EXPECT_EQ(GroupedIndices(std::vector<int32_t>{3, 9, 1, 7}, 2, 2, reverse), (Indices{1, 2, 3, 0}));
}

TEST(GroupedIndices, TwoModalitiesByHand) {
  // Pictures 0..4 of lengths 1..5, text 5..7 of lengths 6, 7, 8; one chunk of 2.
  // pictures: {1,0} {3,2} {4}; text: {6,5} {7}. The last ones, {4} and {7}, fill a megabatch: it comes first.
  const std::vector<int32_t> lengths = {1, 2, 3, 4, 5, -6, -7, -8};
  Identity identity;
  EXPECT_EQ(GroupedIndices(lengths, 2, 1, identity), (Indices{4, 7, 1, 0, 3, 2, 6, 5}));
  Reverse reverse;
  // pictures reversed 4,3 | 2,1 | 0; text 7,6 | 5; megabatches reversed.
  EXPECT_EQ(GroupedIndices(lengths, 2, 1, reverse), (Indices{0, 5, 7, 6, 2, 1, 4, 3}));
  // A rest that fills no megabatch comes last: one chunk of 3, pictures {2,1,0} {4,3}; text {5,6,7}->
  // {7,6,5}. The last of text is full and set aside as well: rest = 4,3,7,6,5, first three of it in front.
  EXPECT_EQ(GroupedIndices(lengths, 3, 1, identity), (Indices{4, 3, 7, 2, 1, 0, 6, 5}));
}

std::vector<int32_t> RandomLengths(size_t n, double text, uint64_t seed) {
  Random random(seed);
  std::vector<int32_t> lengths;
  for (size_t i = 0; i < n; ++i) {
    const int length = random.Between(1, 400);
    lengths.push_back(random.Chance(text) ? -length : length);
  }
  return lengths;
}

TEST(EpochOrder, EverySampleOnceAndChunksOfOneModality) {
  for (const double text : {0.0, 0.3, 1.0}) {
    for (const size_t n : {1u, 2u, 63u, 64u, 65u, 1000u}) {
      const std::vector<int32_t> lengths = RandomLengths(n, text, n);
      Indices samples(n);
      std::iota(samples.begin(), samples.end(), 100u);
      const EpochOrder order(samples, lengths, {.batch = 4, .chunks = 4});
      ASSERT_EQ(order.steps(), static_cast<int64_t>((n + 15) / 16));
      std::multiset<uint32_t> seen(order.order().begin(), order.order().begin() + static_cast<ptrdiff_t>(n));
      EXPECT_EQ(seen, std::multiset<uint32_t>(samples.begin(), samples.end()));
      int mixed = 0;
      for (int64_t step = 0; step < order.steps(); ++step) {
        std::set<bool> modalities;
        for (int c = 0; c < 4; ++c) {
          for (const uint32_t s : order.Chunk(step, c)) modalities.insert(lengths[s - 100] > 0);
        }
        mixed += modalities.size() > 1;
      }
      EXPECT_LE(mixed, 2) << n;  // what was left over, at the beginning and the end
    }
  }
}

// Chunks of one step have about the same length: that is what the grouping is for.
TEST(EpochOrder, ChunksOfAStepAreEven) {
  const size_t n = 4096;
  const std::vector<int32_t> lengths = RandomLengths(n, 0.2, 5);
  Indices samples(n);
  std::iota(samples.begin(), samples.end(), 0u);
  const auto spread = [&](Grouping grouping) {
    const EpochOrder order(samples, lengths, {.batch = 8, .chunks = 4, .grouping = grouping});
    double sum = 0;
    for (int64_t step = 0; step < order.steps(); ++step) {
      int most = 0, least = 1 << 30;
      for (int c = 0; c < 4; ++c) {
        int total = 0;
        for (const uint32_t s : order.Chunk(step, c)) total += std::abs(lengths[s]);
        most = std::max(most, total);
        least = std::min(least, total);
      }
      sum += static_cast<double>(most - least) / most;
    }
    return sum / static_cast<double>(order.steps());
  };
  EXPECT_LT(spread(Grouping::kModalityLength), 0.1);
  EXPECT_GT(spread(Grouping::kShuffle), 0.2);  // the measure can tell
}

TEST(EpochOrder, IsAFunctionOfSeedAndEpoch) {
  const std::vector<int32_t> lengths = RandomLengths(500, 0.3, 1);
  Indices samples(500);
  std::iota(samples.begin(), samples.end(), 0u);
  const auto order = [&](uint64_t seed, uint64_t epoch, int batch = 2, int chunks = 8) {
    const EpochOrder made(samples, lengths, {.batch = batch, .chunks = chunks, .seed = seed, .epoch = epoch});
    return Indices(made.order().begin(), made.order().end());
  };
  EXPECT_EQ(order(1, 0), order(1, 0));
  EXPECT_NE(order(1, 0), order(1, 1));
  EXPECT_NE(order(1, 0), order(2, 0));
  // All 500 places, computed by the official Python functions over this project's random numbers.
  const Indices known = order(42, 3);
  EXPECT_EQ(Indices(known.begin(), known.begin() + 8), (Indices{161, 188, 123, 286, 407, 334, 371, 294}));
  EXPECT_EQ(std::accumulate(known.begin(), known.begin() + 500, uint64_t{0},
                            [](uint64_t hash, uint32_t i) { return hash * 1099511628211u + i; }),
            3828645875260074692u);
}

TEST(EpochOrder, LastStepIsFilledFromTheBeginning) {
  const Indices samples = {7, 8, 9};
  const EpochOrder order(samples, std::vector<int32_t>{1, 1, 1},
                         {.batch = 2, .chunks = 2, .grouping = Grouping::kShuffle});
  ASSERT_EQ(order.steps(), 1);
  EXPECT_EQ(order.Chunk(0, 1)[1], order.Chunk(0, 0)[0]);
}

}  // namespace
}  // namespace mobilevlm::data
