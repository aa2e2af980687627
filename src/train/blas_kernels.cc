#include "train/blas_kernels.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

namespace mobilevlm::train {

std::string BetterBlasKernels() {
#if defined(__x86_64__)
  // Without AVX2; the newer ones know more.
  constexpr std::array<std::string_view, 7> kOld{"Prescott", "Core2",  "Penryn",     "Dunnington",
                                                 "Nehalem",  "Athlon", "Sandybridge"};
  using CoreName = const char* (*)();
  const auto core_name = reinterpret_cast<CoreName>(::dlsym(RTLD_DEFAULT, "openblas_get_corename"));
  if (core_name == nullptr || std::getenv("OPENBLAS_CORETYPE") != nullptr) return "";
  if (std::find(kOld.begin(), kOld.end(), std::string_view(core_name())) == kOld.end()) return "";
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    return "SkylakeX";
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
#endif
  return "";
}

}  // namespace mobilevlm::train
