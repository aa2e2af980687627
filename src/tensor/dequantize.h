// From every element type to float: the scalar reference, one obvious loop per format (tensor/blocks.h has
// the formats in prose). Loading of small tensors, embedding look-up, `inspect` and the quantiser's error
// report read through it, and the vector kernels are tested against it.
//
// Every product here is exact in float (an 11-bit half times integers of at most 13 bits), so at most one
// addition per element rounds: the result is the same to the bit on every compiler and CPU, with or without
// fused multiply-adds, and equal to ggml's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tensor/dtype.h"

namespace mobilevlm {

// `bytes` holds n elements of `type`, whole blocks; no alignment is assumed. Any byte pattern is a value.
void Dequantize(DType type, const void* bytes, size_t n, float* out);

// The same for a whole tensor.
std::vector<float> DequantizeTensor(DType type, std::span<const std::byte> data);

// The 6-bit scale and min of sub-block s < 8 of a Q4_K or Q5_K block.
struct ScaleMin {
  uint8_t scale;
  uint8_t min;
};
ScaleMin UnpackScaleMin(const uint8_t (&scales)[12], size_t s);

// The signed 6-bit scale of sub-block s < 16 of a Q3_K block: -32..31.
int UnpackScaleQ3_K(const uint8_t (&scales)[12], size_t s);

}  // namespace mobilevlm
