// Whole tensors to float and from float, one value at a time: the conversions of files, not of inference.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace mobilevlm {

// The values of `data`, which holds whole blocks of `type`: F32, F16, BF16 or Q8_0. Another type is an Error
// that begins with `name` and lists these.
Result<std::vector<float>> DequantizeTensor(DType type, std::span<const std::byte> data,
                                            const std::string& name);

// `values` as F32, F16 or Q8_0 (a whole number of blocks). NaN, infinity, or a value beyond the range of
// F16 where that is asked for, is an Error that begins with `name`: the file would not mean what it says.
Result<std::vector<std::byte>> EncodeTensor(DType type, std::span<const float> values,
                                            const std::string& name);

}  // namespace mobilevlm
