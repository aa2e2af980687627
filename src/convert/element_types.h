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

// `values` (a whole number of blocks) as `type`. NaN, infinity, or a value beyond what the type surely holds
// is an Error that begins with `name`: the file would not mean what it says.
Result<std::vector<std::byte>> EncodeTensor(DType type, std::span<const float> values,
                                            const std::string& name);

}  // namespace mobilevlm
