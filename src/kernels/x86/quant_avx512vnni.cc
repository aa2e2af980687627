// The integer kernels on AVX-512 VNNI.
#include "kernels/tables.h"
#include "kernels/x86/quant_avx512vnni-inl.h"

namespace mobilevlm {

constinit const QuantKernels kAvx512VnniQuantKernels = MakeQuantKernels<Avx512Vnni>("avx512vnni");

}  // namespace mobilevlm
