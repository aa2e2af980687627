#include "data/sampler.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "base/divide_up.h"
#include "base/random.h"

namespace mobilevlm::data {
namespace {

using Indices = std::vector<uint32_t>;

class RandomShuffler : public Shuffler {
 public:
  RandomShuffler(uint64_t seed, uint64_t epoch) : random_(Random::Stream(seed, epoch)) {}

  Indices Permutation(size_t n) override {
    Indices result(n);
    std::iota(result.begin(), result.end(), 0u);
    random_.Shuffle(std::span(result));
    return result;
  }

 private:
  Random random_;
};

// Deals samples, longest first, to chunks of equal number: always to the one that is shortest so far and not
// full (split_to_even_chunks). A number that cannot be divided is dealt in turns.
void AppendEvenChunks(std::span<const uint32_t> megabatch, std::span<const int32_t> lengths, size_t chunks,
                      Indices& out) {
  if (megabatch.size() % chunks != 0) {
    for (size_t c = 0; c < chunks; ++c) {
      for (size_t i = c; i < megabatch.size(); i += chunks) out.push_back(megabatch[i]);
    }
    return;
  }
  const size_t room = megabatch.size() / chunks;
  std::vector<Indices> dealt(chunks);
  std::vector<int64_t> total(chunks, 0);
  for (const uint32_t index : megabatch) {
    const auto shortest = static_cast<size_t>(std::min_element(total.begin(), total.end()) - total.begin());
    dealt[shortest].push_back(index);
    total[shortest] += std::abs(lengths[index]);
    if (dealt[shortest].size() == room) total[shortest] = std::numeric_limits<int64_t>::max();
  }
  for (const Indices& chunk : dealt) out.insert(out.end(), chunk.begin(), chunk.end());
}

// get_length_grouped_indices for the samples `indices`.
Indices GroupByLength(const Indices& indices, std::span<const int32_t> lengths, int batch, int chunks,
                      Shuffler& shuffler) {
  const size_t megabatch = static_cast<size_t>(batch) * static_cast<size_t>(chunks);
  Indices shuffled;
  for (const uint32_t i : shuffler.Permutation(indices.size())) shuffled.push_back(indices[i]);
  Indices out;
  for (size_t begin = 0; begin < shuffled.size(); begin += megabatch) {
    const auto first = shuffled.begin() + static_cast<ptrdiff_t>(begin);
    const auto last = shuffled.begin() + static_cast<ptrdiff_t>(std::min(begin + megabatch, shuffled.size()));
    std::stable_sort(first, last,
                     [&](uint32_t a, uint32_t b) { return std::abs(lengths[a]) > std::abs(lengths[b]); });
    AppendEvenChunks(std::span(first, last), lengths, static_cast<size_t>(chunks), out);
  }
  return out;
}

std::vector<std::span<const uint32_t>> Megabatches(const Indices& indices, size_t size) {
  std::vector<std::span<const uint32_t>> result;
  for (size_t begin = 0; begin < indices.size(); begin += size) {
    result.push_back(std::span(indices).subspan(begin, std::min(size, indices.size() - begin)));
  }
  return result;
}

}  // namespace

Indices GroupedIndices(std::span<const int32_t> lengths, int batch, int chunks, Shuffler& shuffler) {
  Indices pictures, text;
  for (uint32_t i = 0; i < lengths.size(); ++i) {
    MVLM_CHECK(lengths[i] != 0, "sample {} has no length", i);
    (lengths[i] > 0 ? pictures : text).push_back(i);
  }
  const Indices grouped_pictures = GroupByLength(pictures, lengths, batch, chunks, shuffler);
  const Indices grouped_text = GroupByLength(text, lengths, batch, chunks, shuffler);
  if (text.empty()) return grouped_pictures;
  if (pictures.empty()) return grouped_text;

  const size_t size = static_cast<size_t>(batch) * static_cast<size_t>(chunks);
  std::vector<std::span<const uint32_t>> megabatches = Megabatches(grouped_pictures, size);
  std::vector<std::span<const uint32_t>> text_batches = Megabatches(grouped_text, size);
  // The last of each is set aside, a full one too.
  Indices rest(megabatches.back().begin(), megabatches.back().end());
  rest.insert(rest.end(), text_batches.back().begin(), text_batches.back().end());
  megabatches.pop_back();
  text_batches.pop_back();
  megabatches.insert(megabatches.end(), text_batches.begin(), text_batches.end());

  Indices order;
  order.reserve(lengths.size());
  const size_t first = rest.size() >= size ? size : 0;
  order.insert(order.end(), rest.begin(), rest.begin() + static_cast<ptrdiff_t>(first));
  for (const uint32_t m : shuffler.Permutation(megabatches.size())) {
    order.insert(order.end(), megabatches[m].begin(), megabatches[m].end());
  }
  order.insert(order.end(), rest.begin() + static_cast<ptrdiff_t>(first), rest.end());
  return order;
}

EpochOrder::EpochOrder(std::span<const uint32_t> samples, std::span<const int32_t> lengths,
                       const OrderOptions& options)
    : batch_(options.batch), chunks_(options.chunks) {
  MVLM_CHECK(!samples.empty() && samples.size() == lengths.size(), "{} samples, {} lengths", samples.size(),
             lengths.size());
  MVLM_CHECK(batch_ > 0 && chunks_ > 0, "{} chunks of {}", chunks_, batch_);
  RandomShuffler shuffler(options.seed, options.epoch);
  order_ = options.grouping == Grouping::kShuffle ? shuffler.Permutation(samples.size())
                                                  : GroupedIndices(lengths, batch_, chunks_, shuffler);
  for (uint32_t& place : order_) place = samples[place];
  const size_t step = static_cast<size_t>(batch_) * static_cast<size_t>(chunks_);
  const size_t filled = RoundUp(order_.size(), step);
  for (size_t i = 0; order_.size() < filled; ++i) order_.push_back(order_[i]);
  steps_ = static_cast<int64_t>(filled / step);
}

std::span<const uint32_t> EpochOrder::Chunk(int64_t step, int chunk) const {
  MVLM_CHECK(step >= 0 && step < steps_ && chunk >= 0 && chunk < chunks_, "step {}, chunk {}", step, chunk);
  const size_t batch = static_cast<size_t>(batch_);
  const size_t at =
      (static_cast<size_t>(step) * static_cast<size_t>(chunks_) + static_cast<size_t>(chunk)) * batch;
  return std::span(order_).subspan(at, batch);
}

}  // namespace mobilevlm::data
