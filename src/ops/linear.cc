#include "ops/linear.h"

#include <span>

#include "ops/float_panels.h"
#include "ops/linear_float.h"
#include "ops/linear_quantised.h"
#include "ops/linear_split.h"
#include "ops/pack_weights.h"

namespace mobilevlm {
namespace {

enum class Arithmetic { kQuantised, kSplit, kFloat };
Arithmetic ChooseArithmetic(const OpsContext& ctx, const LinearWeights& w) {
  if (ctx.float_activations) return Arithmetic::kFloat;
  if (w.packed != nullptr) return Arithmetic::kQuantised;
  const bool half = w.type == DType::kF16 || w.type == DType::kBF16;
  return half && w.may_split && ctx.kernels->split != nullptr ? Arithmetic::kSplit : Arithmetic::kFloat;
}

// Parts that ChooseArithmetic, and the blocks of their formats, treat alike.
void Multiply(const OpsContext& ctx, Mat<const float> x, std::span<const LinearPart> parts) {
  switch (ChooseArithmetic(ctx, *parts[0].w)) {
    case Arithmetic::kQuantised:
      return LinearQuantised(ctx, x, parts);
    case Arithmetic::kSplit:
      return LinearSplit(ctx, x, parts);
    case Arithmetic::kFloat:
      return LinearFloat(ctx, x, parts);
  }
}

bool Alike(const OpsContext& ctx, const LinearWeights& a, const LinearWeights& b) {
  const Arithmetic arithmetic = ChooseArithmetic(ctx, a);
  if (arithmetic != ChooseArithmetic(ctx, b)) return false;
  return arithmetic != Arithmetic::kQuantised ||
         kPackedTraits[a.format].block == kPackedTraits[b.format].block;
}

}  // namespace

void Linear(const OpsContext& ctx, Mat<const float> x, std::initializer_list<LinearPart> parts) {
  const std::span<const LinearPart> all(parts.begin(), parts.size());
  bool alike = true;
  for (const auto& [w, y] : all) {
    MVLM_CHECK(x.cols() == w->in && y.cols() == w->out && x.rows() == y.rows() && w->out > 0,
               "x [{}, {}] times weights [{}, {}] into y [{}, {}]", x.rows(), x.cols(), w->out, w->in,
               y.rows(), y.cols());
    MVLM_CHECK(w->row_bytes >= RowBytes(w->type, w->in).value_or(SIZE_MAX), "{} bytes for a row of {} {}",
               w->row_bytes, w->in, DTypeName(w->type));
    MVLM_CHECK((w->packed != nullptr) == FindPackedFormat(w->type).has_value(), "{} weights, packed or not",
               DTypeName(w->type));
    MVLM_CHECK(w->panels == nullptr || HasFloatPanels(w->type), "panels of {}", DTypeName(w->type));
    alike = alike && Alike(ctx, *all[0].w, *w);
    if (ctx.observer != nullptr) ctx.observer->Observe(*w, x);
  }
  if (x.rows() == 0) return;
  if (alike) return Multiply(ctx, x, all);
  for (size_t i = 0; i < all.size(); ++i) Multiply(ctx, x, all.subspan(i, 1));  // a layer of mixed types
}

void Linear(const OpsContext& ctx, Mat<const float> x, const LinearWeights& w, Mat<float> y) {
  Linear(ctx, x, {{&w, y}});
}

}  // namespace mobilevlm
