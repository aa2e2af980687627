// Which kernels OpenBLAS uses, and which it should.
#pragma once

#include <string>

namespace mobilevlm::train {

// OpenBLAS chooses by the CPU's model number when it is loaded, and takes SSE3 kernels for a model that it
// does not know: 0.3.21 on Emerald Rapids multiplies at a fifth of the speed. Returns the value of
// OPENBLAS_CORETYPE that this process should be started with, or nothing if it is set already, the kernels
// fit the CPU, or the BLAS is another one.
std::string BetterBlasKernels();

}  // namespace mobilevlm::train
