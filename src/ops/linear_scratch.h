// The buffers of matrix products, kept between calls so that a decoded token allocates nothing.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/mat.h"

namespace mobilevlm {

struct LinearScratch {
  // Quantised activations of one call, kernels/quant_kernels.h: QuantisedRows, tile after tile.
  AlignedBuffer<int8_t> q;         // [tokens, in]
  AlignedBuffer<float> scale;      // [tokens, in / 32]
  AlignedBuffer<int32_t> sums;     // [tokens, in / 16]
  struct Correction {              // for one kind of weight format
    AlignedBuffer<int32_t> start;  // [tokens, in / 16] at most
    AlignedBuffer<float> scaled_sums;
  };
  std::vector<Correction> corrections;

  // One per thread.
  struct Slot {
    AlignedBuffer<uint8_t> quants;  // two unpacked panels over kUnpackedInputs
    AlignedBuffer<float> scales, mins;
    AlignedBuffer<float> sums;  // [tokens, 32]
  };
  std::vector<Slot> slots;
};

}  // namespace mobilevlm
