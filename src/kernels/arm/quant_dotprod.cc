// The integer kernels on SDOT.
#include "kernels/arm/quant_dotprod-inl.h"
#include "kernels/tables.h"

namespace mobilevlm {

constinit const QuantKernels kDotprodQuantKernels = MakeQuantKernels<DotprodQuant>("dotprod");

}  // namespace mobilevlm
