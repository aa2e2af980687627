// Random weights of any type at the speed of a copy.
//
// A pool of normal numbers is drawn and encoded once per distribution and type; a tensor is a random sequence
// of the pool's blocks. So every block is what a quantiser really produces, rows differ from each other, and
// billions of weights cost about as much as writing them.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <tuple>
#include <vector>

#include "base/thread_pool.h"
#include "gguf/writer.h"
#include "tensor/dtype.h"

namespace mobilevlm {

struct Distribution {
  float mean = 0;
  float deviation = 1;
  auto operator<=>(const Distribution&) const = default;
};

// The bytes depend on the seed and the order of the calls alone, not on the number of threads.
class RandomWeights {
 public:
  RandomWeights(uint64_t seed, int threads);

  // `elements` (whole blocks) into `sink`, in pieces; at most about 8 MiB per thread are in memory.
  Status Stream(DType type, Distribution distribution, uint64_t elements, const GgufWriter::ByteSink& sink);

 private:
  std::span<const std::byte> Pool(DType type, Distribution distribution);

  uint64_t seed_;
  uint64_t tensors_ = 0;  // streamed so far: the index of the next one's random stream
  ThreadPool threads_;
  std::vector<float> normals_;
  std::map<std::pair<DType, Distribution>, std::vector<std::byte>> pools_;
  std::vector<std::byte> buffer_;
};

}  // namespace mobilevlm
