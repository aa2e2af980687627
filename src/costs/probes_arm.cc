// arm64: FMLA, and SDOT where the CPU has it.
#include "costs/probes.h"

#if defined(__aarch64__)

#include <sys/auxv.h>

namespace mobilevlm::costs {
namespace {

#define MVLM_16(m) m(0) m(1) m(2) m(3) m(4) m(5) m(6) m(7) m(8) m(9) m(10) m(11) m(12) m(13) m(14) m(15)
#define MVLM_V_0_15 \
  "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15"

// Accumulators 0 to 15, operands 16 and 17, temporaries 18 and 19.
#define MVLM_ZERO(i) "movi v" #i ".4s, #0\n"
#define MVLM_FMLA(i) "fmla v" #i ".4s, v16.4s, v17.4s\n"
#define MVLM_SDOT(i) "sdot v" #i ".4s, v16.16b, v17.16b\n"
// Without SDOT: widening multiplies of both halves, then pairwise accumulation.
#define MVLM_SMULL(i)                 \
  "smull v18.8h, v16.8b, v17.8b\n"    \
  "smlal2 v18.8h, v16.16b, v17.16b\n" \
  "sadalp v" #i ".4s, v18.8h\n"

void Fmla(uint64_t rounds) {
  asm volatile(MVLM_16(MVLM_ZERO) MVLM_ZERO(16) MVLM_ZERO(17) "1:\n" MVLM_16(MVLM_FMLA) "subs %0, %0, #1\n"
               "b.ne 1b\n"
               : "+r"(rounds)::"cc", MVLM_V_0_15, "v16", "v17");
}

__attribute__((target("arch=armv8.2-a+dotprod"))) void Sdot(uint64_t rounds) {
  asm volatile(".arch armv8.2-a+dotprod\n" MVLM_16(MVLM_ZERO) MVLM_ZERO(16) MVLM_ZERO(17) "1:\n" MVLM_16(
                   MVLM_SDOT) "subs %0, %0, #1\n"
                              "b.ne 1b\n"
               : "+r"(rounds)::"cc", MVLM_V_0_15, "v16", "v17");
}

void Smull(uint64_t rounds) {
  asm volatile(MVLM_16(MVLM_ZERO) MVLM_ZERO(16) MVLM_ZERO(17) "1:\n" MVLM_16(MVLM_SMULL) "subs %0, %0, #1\n"
               "b.ne 1b\n"
               : "+r"(rounds)::"cc", MVLM_V_0_15, "v16", "v17", "v18");
}
#undef MVLM_ZERO
#undef MVLM_FMLA
#undef MVLM_SDOT
#undef MVLM_SMULL

void Read(const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  const char* const end = at + bytes;
  asm volatile(
      "1:\n"
      "ldp q0, q1, [%0]\n"
      "ldp q2, q3, [%0, #32]\n"
      "ldp q4, q5, [%0, #64]\n"
      "ldp q6, q7, [%0, #96]\n"
      "ldp q8, q9, [%0, #128]\n"
      "ldp q10, q11, [%0, #160]\n"
      "ldp q12, q13, [%0, #192]\n"
      "ldp q14, q15, [%0, #224]\n"
      "add %0, %0, #256\n"
      "cmp %0, %1\n"
      "b.lo 1b\n"
      : "+r"(at)
      : "r"(end)
      : "cc", "memory", MVLM_V_0_15);
}

}  // namespace

Probes ChooseProbes() {
  constexpr uint64_t kRegister = 16;  // bytes
  constexpr unsigned long kHwcapAsimddp = 1 << 20;
  Probes probes{.fp32 = {"fmla", 16 * kRegister / 4 * 2, Fmla},
                .int8 = {"smull + smlal2 + sadalp", 16 * kRegister * 2, Smull},
                .read = {"ldp q", Read}};
  if (getauxval(AT_HWCAP) & kHwcapAsimddp) probes.int8 = {"sdot", 16 * kRegister * 2, Sdot};
  return probes;
}

}  // namespace mobilevlm::costs

#endif  // defined(__aarch64__)
