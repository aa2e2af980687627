// The integer kernels on AVX-512 VNNI.
#include "kernels/tables.h"
#include "kernels/x86/quant_avx512vnni-inl.h"

namespace mobilevlm {
namespace {

constexpr QuantKernels MakeAvx512VnniKernels() {
  QuantKernels kernels = MakeQuantKernels<Avx512Vnni>("avx512vnni");
  kernels.few_rows = &kAvx512VnniFewRowKernels;
  return kernels;
}

}  // namespace

constinit const QuantKernels kAvx512VnniQuantKernels = MakeAvx512VnniKernels();

}  // namespace mobilevlm
