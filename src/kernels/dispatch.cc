#include "kernels/dispatch.h"

#include <string>

#include "kernels/tables.h"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace mobilevlm {
namespace {

#if defined(__x86_64__)
// clang 14's __builtin_cpu_supports does not know this feature.
bool HasF16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

// Every CPU with AMX has both kinds of it and AVX-512 BF16; a hypervisor may hide some. Linux lets a process
// use the tile registers, 8 KiB per thread, only after it has asked.
bool HasAmx() {
  constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24, kInt8 = 1u << 25, kAll = kBf16 | kTile | kInt8;
  constexpr unsigned kAvx512Bf16 = 1u << 5;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & kAll) != kAll) return false;
  if (__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) == 0 || (eax & kAvx512Bf16) == 0) return false;
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}
#endif

// From the most general to the best; `runs` is on this CPU, under this operating system.
// __builtin_cpu_supports also asks whether the OS saves the registers.
std::vector<KernelCandidate> Candidates() {
  std::vector<KernelCandidate> all{{&kGenericKernels, true}};
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && HasF16c();
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  all.push_back({&kAvx2Kernels, avx2});
  all.push_back({&kAvx512Kernels, avx512});
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  all.push_back({&kAvx512VnniKernels, vnni});
  all.push_back({&kAmxKernels, vnni && HasAmx()});
#elif defined(__aarch64__)
  const bool dotprod = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
  all.push_back({&kNeonKernels, true});
  all.push_back({&kDotprodKernels, dotprod});
  all.push_back({&kI8mmKernels, dotprod && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0});
#endif
  return all;
}

}  // namespace

std::vector<const KernelTable*> RunnableKernels() {
  std::vector<const KernelTable*> runnable;
  for (const KernelCandidate& candidate : Candidates()) {
    if (candidate.runs) runnable.push_back(candidate.table);
  }
  return runnable;
}

Result<const KernelTable*> ChooseKernels(std::string_view forced) {
  return ChooseKernels(forced, Candidates());
}

Result<const KernelTable*> ChooseKernels(std::string_view forced,
                                         std::span<const KernelCandidate> candidates) {
  const KernelTable* best = nullptr;
  bool built = false;  // the forced one, for whatever CPU
  std::string names;   // of those that run
  for (const KernelCandidate& candidate : candidates) {
    built |= forced == candidate.table->name;
    if (!candidate.runs) continue;
    if (forced == candidate.table->name) return candidate.table;
    best = candidate.table;
    if (!names.empty()) names += ", ";
    names += candidate.table->name;
  }
  if (forced.empty()) return best;
  return Fail("MOBILEVLM_ISA={}: {}; it can run: {}", forced,
              built ? "this CPU lacks these instructions" : "no such kernels in this build", names);
}

}  // namespace mobilevlm
