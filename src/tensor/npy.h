// NumPy's .npy format, version 1.0, little-endian, C order: float32 ("<f4") and uint8 ("|u1").
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace mobilevlm {

struct NpyArray {
  std::vector<size_t> shape;
  std::vector<float> values;  // uint8 files are widened
};

// Also reads "<f2" (widened). Any other type, Fortran order or a size that disagrees is an Error.
Result<NpyArray> ReadNpy(const std::string& path);

// The product of shape must equal values.size(). Written atomically.
Status WriteNpy(const std::string& path, std::span<const size_t> shape, std::span<const float> values);
Status WriteNpy(const std::string& path, std::span<const size_t> shape, std::span<const uint8_t> values);

}  // namespace mobilevlm
