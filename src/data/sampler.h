// The order in which an epoch visits its samples: a pure function of the samples' lengths, the seed and the
// epoch, so that every process computes the same order for itself and a resumed run continues at a position.
//
// kModalityLength is the official sampler (trainer.py, get_modality_length_grouped_indices, of the code that
// trained MobileVLM V2): samples with pictures and text-only samples are shuffled and cut into megabatches of
// chunks * batch each; inside a megabatch the samples are sorted by length, longest first, and dealt to
// chunks of equal number and about equal total length; the full megabatches of both modalities are shuffled
// among each other; what is left of both is merged and comes first if it fills a megabatch, and its rest
// last. Where all samples have one modality, megabatches stay in their shuffled order (the official code of
// MobileVLM crashes there, LLaVA's does this).
//
// A chunk is what one process computes in one micro-step. With `world` processes that accumulate `a`
// micro-steps, chunks = world * a, and process `rank` computes in micro-step `m` the chunk m * world + rank:
// so one process that accumulates two micro-steps sees the micro-batches of two processes, and a run may
// continue on another number of processes as long as chunks stays the same.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mobilevlm::data {

enum class Grouping {
  kShuffle,         // stage 1
  kModalityLength,  // stage 2
};

struct OrderOptions {
  int batch = 16;  // samples of a chunk
  int chunks = 1;  // processes times accumulated micro-steps
  Grouping grouping = Grouping::kModalityLength;
  uint64_t seed = 42;
  uint64_t epoch = 0;
};

class EpochOrder {
 public:
  // `samples` are numbers of samples, possibly several times each; `lengths[i]` is the length of samples[i],
  // positive with pictures and negative without, never 0 (Dataset::lengths). No sample is a broken invariant.
  EpochOrder(std::span<const uint32_t> samples, std::span<const int32_t> lengths,
             const OrderOptions& options);

  // Optimizer steps of the epoch. The last one is filled up from the beginning of the order, so that every
  // chunk of every step has `batch` samples.
  int64_t steps() const { return steps_; }
  // The sample numbers of one chunk of one step: [batch].
  std::span<const uint32_t> Chunk(int64_t step, int chunk) const;
  // All of them: [steps * chunks * batch].
  std::span<const uint32_t> order() const { return order_; }

 private:
  int batch_;
  int chunks_;
  int64_t steps_;
  std::vector<uint32_t> order_;
};

// The same without the filling-up, as indices into `lengths`: what the official function returns. `shuffle`
// permutes 0, ..., n - 1; tests replace it.
struct Shuffler {
  virtual ~Shuffler() = default;
  virtual std::vector<uint32_t> Permutation(size_t n) = 0;
};
std::vector<uint32_t> GroupedIndices(std::span<const int32_t> lengths, int batch, int chunks,
                                     Shuffler& shuffler);

}  // namespace mobilevlm::data
