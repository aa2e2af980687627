// One token, or a few, times float weights in panels (ops/float_panels.h): each panel is read once, as a
// single stream of memory. ops/linear.h is the door.
#pragma once

#include <span>

#include "ops/linear.h"

namespace mobilevlm {

// With more tokens widening the weights to float first is quicker.
constexpr size_t kMostPanelTokens = 16;

// At most kMostPanelTokens tokens, all parts in panels. The threads share the panels of all parts.
void LinearPanels(const OpsContext& ctx, Mat<const float> x, std::span<const LinearPart> parts);

}  // namespace mobilevlm
