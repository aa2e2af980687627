// The tables this build contains, defined by the ISA folders. Only kernels/dispatch.cc decides which may run.
#pragma once

#include "kernels/kernels.h"

namespace mobilevlm {

extern const KernelTable kGenericKernels;
#if defined(__x86_64__)
extern const KernelTable kAvx2Kernels;    // needs AVX2, FMA, F16C
extern const KernelTable kAvx512Kernels;  // needs AVX-512 F, BW, DQ, VL besides
#endif

}  // namespace mobilevlm
