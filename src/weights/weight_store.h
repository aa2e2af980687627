// WeightStore: owns what a stage's weights are turned into at loading: small arrays widened to float, and
// the packed form of matrices. Moving it keeps every pointer valid.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "tensor/mat.h"

namespace mobilevlm {

class WeightStore {
 public:
  WeightStore() = default;
  WeightStore(WeightStore&& other) noexcept { *this = std::move(other); }
  WeightStore& operator=(WeightStore&& other) noexcept {
    std::swap(floats_, other.floats_);
    std::swap(chunks_, other.chunks_);
    return *this;
  }
  ~WeightStore();

  std::span<float> Floats(size_t count);

  // Uninitialised bytes, 64-byte aligned, in huge pages where the system has them (a decoded token reads all
  // of them once: small pages would cost a walk of the page table per 4 KiB). nullptr if there is no memory.
  std::byte* Packed(size_t bytes);

 private:
  struct Chunk {
    std::byte* data;
    size_t size, used;
  };
  std::vector<AlignedBuffer<float>> floats_;
  std::vector<Chunk> chunks_;
};

}  // namespace mobilevlm
