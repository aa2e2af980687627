// The types that synthetic weights can be written in, and the one place where their blocks are made.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace mobilevlm {

// "f32", "q4_0", ...: any case; an Error lists the types.
Result<DType> ParseSynthType(std::string_view name);
std::string SynthTypeNames();  // "f32, f16, ..."

// `values`, whole blocks of `type` (one that ParseSynthType gives), as a file holds them.
std::vector<std::byte> EncodeBlocks(DType type, std::span<const float> values);

}  // namespace mobilevlm
