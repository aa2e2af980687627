// y = x * W^T + bias, torch.nn.Linear.
//
// Float weights (F32, F16, BF16) are read as the file stores them or, those of the language model, from
// panels (ops/float_panels.h); either way each output is one sum over `in` in ascending order, starting at
// the bias: y = ((bias + x0*w0) + x1*w1)... with fused multiply-adds where the CPU has them; or, where the
// matrix allows it, sums of sums of 32 products. Quantised weights are packed at
// loading (ops/pack_weights.h) and meet activations quantised to 8 bits (kernels/quant_kernels.h has the
// arithmetic), or float ones if the context says so. Either way tokens, tiles and threads only decide which
// outputs are computed side by side, so that one token alone and the same token in a batch agree to the bit.
#pragma once

#include <cstddef>
#include <initializer_list>

#include "kernels/packed.h"
#include "ops/context.h"
#include "tensor/dtype.h"
#include "tensor/mat.h"

namespace mobilevlm {

// A read-only view of a weight matrix [out, in], row-major as in the file, rows row_bytes apart; no alignment
// is assumed. A quantised matrix that is to be multiplied also has its packed form, a float one may have
// panels, and then Linear does not touch `data`.
struct LinearWeights {
  DType type = DType::kF32;
  const std::byte* data = nullptr;
  size_t out = 0;
  size_t in = 0;
  const float* bias = nullptr;  // [out], or nullptr
  size_t row_bytes = 0;
  const std::byte* packed = nullptr;         // PackedPanels(out) panels
  PackedFormat format = kPackedFormatCount;  // of `packed`
  const std::byte* panels = nullptr;         // FloatPanels(out), or nullptr
  // F16 and BF16: x may be rounded to 16 significant bits where that is faster (kernels/split_kernels.h); not
  // if the context wants exact activations.
  bool may_split = false;
};

// One of several products with the same x.
struct LinearPart {
  const LinearWeights* w;
  Mat<float> y;  // [tokens, out]
};

// Calibration: learns which activations a matrix meets.
class LinearObserver {
 public:
  virtual ~LinearObserver() = default;
  // Called by the thread that calls Linear, before the product. w.data names the matrix.
  virtual void Observe(const LinearWeights& w, Mat<const float> x) = 0;
};

// x: [tokens, in], y: [tokens, out]; they must not overlap. Zero tokens are allowed.
void Linear(const OpsContext& ctx, Mat<const float> x, const LinearWeights& w, Mat<float> y);

// The same for several matrices at once (query, key and value; gate and up): bit for bit what one after the
// other would give, with x prepared once and the threads busy to the end of all.
void Linear(const OpsContext& ctx, Mat<const float> x, std::initializer_list<LinearPart> parts);

}  // namespace mobilevlm
