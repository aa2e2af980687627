// Whole tensors from float to what a file stores.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace mobilevlm {

// `values` as F32, F16 or Q8_0 (a whole number of blocks). NaN, infinity, or a value beyond the range of
// F16 where that is asked for, is an Error that begins with `name`: the file would not mean what it says.
Result<std::vector<std::byte>> EncodeTensor(DType type, std::span<const float> values,
                                            const std::string& name);

}  // namespace mobilevlm
