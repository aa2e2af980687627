// The tables this build contains, defined by the ISA folders. Only kernels/dispatch.cc decides which may run.
#pragma once

#include "kernels/kernels.h"
#include "kernels/quant_kernels.h"

namespace mobilevlm {

extern const KernelTable kGenericKernels;
extern const QuantKernels kGenericQuantKernels;
#if defined(__x86_64__)
extern const KernelTable kAvx2Kernels;        // needs AVX2, FMA, F16C
extern const KernelTable kAvx512Kernels;      // needs AVX-512 F, BW, DQ, VL besides; integers by AVX2
extern const KernelTable kAvx512VnniKernels;  // and AVX-512 VNNI
extern const KernelTable kAmxKernels;         // and AMX INT8
extern const QuantKernels kAvx2QuantKernels;
extern const QuantKernels kAvx512VnniQuantKernels;
extern const QuantKernels kAmxQuantKernels;
extern const FewRowKernels kAvx512VnniFewRowKernels;
#elif defined(__aarch64__)
extern const KernelTable kNeonKernels;     // any 64-bit ARM
extern const KernelTable kDotprodKernels;  // integers by SDOT
extern const KernelTable kI8mmKernels;     // and by SMMLA
extern const QuantKernels kNeonQuantKernels;
extern const QuantKernels kDotprodQuantKernels;
extern const QuantKernels kI8mmQuantKernels;
#endif

}  // namespace mobilevlm
