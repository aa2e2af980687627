// x86-64: AVX-512 with VNNI, AVX2, SSE2. Each function carries its own target, so the file needs no flags.
#include "costs/probes.h"

#if defined(__x86_64__)

namespace mobilevlm::costs {
namespace {

// m(0) ... m(11), m(0) ... m(15): one instruction per accumulator.
#define MVLM_12(m) m(0) m(1) m(2) m(3) m(4) m(5) m(6) m(7) m(8) m(9) m(10) m(11)
#define MVLM_16(m) MVLM_12(m) m(12) m(13) m(14) m(15)
#define MVLM_XMM_0_15                                                                                        \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
      "xmm13", "xmm14", "xmm15"

// Accumulators 0 to 15, operands 16 and 17; all zero, so no value ever grows or becomes subnormal.
#define MVLM_ZERO(i) "vpxord %%zmm" #i ", %%zmm" #i ", %%zmm" #i "\n"
#define MVLM_FMA(i) "vfmadd231ps %%zmm16, %%zmm17, %%zmm" #i "\n"
#define MVLM_DOT(i) "vpdpbusd %%zmm16, %%zmm17, %%zmm" #i "\n"

__attribute__((target("avx512f"))) void FmaAvx512(uint64_t rounds) {
  asm volatile(MVLM_16(MVLM_ZERO) MVLM_ZERO(16) MVLM_ZERO(17) "1:\n" MVLM_16(MVLM_FMA) "dec %0\n"
               "jnz 1b\n"
               "vzeroupper\n"
               : "+r"(rounds)::"cc", MVLM_XMM_0_15, "xmm16", "xmm17");
}

__attribute__((target("avx512f,avx512vnni"))) void DotAvx512Vnni(uint64_t rounds) {
  asm volatile(MVLM_16(MVLM_ZERO) MVLM_ZERO(16) MVLM_ZERO(17) "1:\n" MVLM_16(MVLM_DOT) "dec %0\n"
               "jnz 1b\n"
               "vzeroupper\n"
               : "+r"(rounds)::"cc", MVLM_XMM_0_15, "xmm16", "xmm17");
}
#undef MVLM_ZERO
#undef MVLM_FMA
#undef MVLM_DOT

// Accumulators 0 to 11, operands 12 to 14, temporary 15.
#define MVLM_ZERO(i) "vpxor %%ymm" #i ", %%ymm" #i ", %%ymm" #i "\n"
#define MVLM_FMA(i) "vfmadd231ps %%ymm12, %%ymm13, %%ymm" #i "\n"
#define MVLM_MADD(i)                       \
  "vpmaddubsw %%ymm12, %%ymm13, %%ymm15\n" \
  "vpmaddwd %%ymm14, %%ymm15, %%ymm15\n"   \
  "vpaddd %%ymm15, %%ymm" #i ", %%ymm" #i "\n"

__attribute__((target("avx2,fma"))) void FmaAvx2(uint64_t rounds) {
  asm volatile(MVLM_16(MVLM_ZERO) "1:\n" MVLM_12(MVLM_FMA) "dec %0\n"
               "jnz 1b\n"
               "vzeroupper\n"
               : "+r"(rounds)::"cc", MVLM_XMM_0_15);
}

__attribute__((target("avx2"))) void MaddAvx2(uint64_t rounds) {
  asm volatile(MVLM_16(MVLM_ZERO) "1:\n" MVLM_12(MVLM_MADD) "dec %0\n"
               "jnz 1b\n"
               "vzeroupper\n"
               : "+r"(rounds)::"cc", MVLM_XMM_0_15);
}
#undef MVLM_ZERO
#undef MVLM_FMA
#undef MVLM_MADD

// Without AVX2 the floating-point unit does both: mulps and addps, operands 12 and 13, temporary 15.
#define MVLM_ZERO(i) "pxor %%xmm" #i ", %%xmm" #i "\n"
#define MVLM_MULADD(i)        \
  "movaps %%xmm12, %%xmm15\n" \
  "mulps %%xmm13, %%xmm15\n"  \
  "addps %%xmm15, %%xmm" #i "\n"
#define MVLM_PMADD(i)          \
  "movdqa %%xmm12, %%xmm15\n"  \
  "pmaddwd %%xmm13, %%xmm15\n" \
  "paddd %%xmm15, %%xmm" #i "\n"

void MulAddSse(uint64_t rounds) {
  asm volatile(MVLM_16(MVLM_ZERO) "1:\n" MVLM_12(MVLM_MULADD) "dec %0\n"
               "jnz 1b\n"
               : "+r"(rounds)::"cc", MVLM_XMM_0_15);
}

void PmaddSse(uint64_t rounds) {
  asm volatile(MVLM_16(MVLM_ZERO) "1:\n" MVLM_12(MVLM_PMADD) "dec %0\n"
               "jnz 1b\n"
               : "+r"(rounds)::"cc", MVLM_XMM_0_15);
}
#undef MVLM_ZERO
#undef MVLM_MULADD
#undef MVLM_PMADD

// Sixteen independent loads per step; nothing needs their values, but an asm volatile load is never dropped.
#define MVLM_LOAD(i) "vmovdqa64 64*" #i "(%0), %%zmm" #i "\n"
__attribute__((target("avx512f"))) void ReadAvx512(const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  const char* const end = at + bytes;
  asm volatile("1:\n" MVLM_16(MVLM_LOAD) "add $1024, %0\n"
               "cmp %1, %0\n"
               "jb 1b\n"
               "vzeroupper\n"
               : "+r"(at)
               : "r"(end)
               : "cc", "memory", MVLM_XMM_0_15);
}
#undef MVLM_LOAD

#define MVLM_LOAD(i) "movdqa 16*" #i "(%0), %%xmm" #i "\n"
void ReadSse(const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  const char* const end = at + bytes;
  asm volatile("1:\n" MVLM_16(MVLM_LOAD) "add $256, %0\n"
               "cmp %1, %0\n"
               "jb 1b\n"
               : "+r"(at)
               : "r"(end)
               : "cc", "memory", MVLM_XMM_0_15);
}
#undef MVLM_LOAD

#define MVLM_LOAD(i) "vmovdqa 32*" #i "(%0), %%ymm" #i "\n"
__attribute__((target("avx2"))) void ReadAvx2(const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  const char* const end = at + bytes;
  asm volatile("1:\n" MVLM_16(MVLM_LOAD) "add $512, %0\n"
               "cmp %1, %0\n"
               "jb 1b\n"
               "vzeroupper\n"
               : "+r"(at)
               : "r"(end)
               : "cc", "memory", MVLM_XMM_0_15);
}
#undef MVLM_LOAD

}  // namespace

Probes ChooseProbes() {
  constexpr uint64_t kZmm = 64, kYmm = 32, kXmm = 16;  // bytes
  // Operations of a round: accumulators x elements x 2.
  Probes probes{.fp32 = {"mulps + addps", 12 * kXmm / 4 * 2, MulAddSse},
                .int8 = {"pmaddwd + paddd", 12 * kXmm / 2 * 2, PmaddSse},
                .read = {"movdqa", ReadSse}};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    probes.fp32 = {"vfmadd231ps ymm", 12 * kYmm / 4 * 2, FmaAvx2};
    probes.int8 = {"vpmaddubsw + vpmaddwd + vpaddd ymm", 12 * kYmm * 2, MaddAvx2};
    probes.read = {"vmovdqa ymm", ReadAvx2};
  }
  if (__builtin_cpu_supports("avx512f")) {
    probes.fp32 = {"vfmadd231ps zmm", 16 * kZmm / 4 * 2, FmaAvx512};
    probes.read = {"vmovdqa64 zmm", ReadAvx512};
    if (__builtin_cpu_supports("avx512vnni")) {
      probes.int8 = {"vpdpbusd zmm", 16 * kZmm * 2, DotAvx512Vnni};
      // Both run on the same ports at the same rate, and a byte is a quarter of a float.
      probes.least_ratio = 3.5;
      probes.most_ratio = 4.5;
    }
  }
  return probes;
}

}  // namespace mobilevlm::costs

#endif  // defined(__x86_64__)
