#pragma once

#include <cstdint>
#include <span>

#include "ops/context.h"
#include "ops/linear.h"
#include "tensor/mat.h"

namespace mobilevlm {

// out[i] = table[ids[i]] as float. table: [vocab, hidden] in any type (its bias is ignored), out: [ids,
// hidden]. Exact, and the same whatever the CPU. An id outside the table is a broken invariant: callers have
// checked.
void GatherRows(const OpsContext& ctx, const LinearWeights& table, std::span<const int32_t> ids,
                Mat<float> out);

}  // namespace mobilevlm
