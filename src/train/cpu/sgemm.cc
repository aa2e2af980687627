#include "train/cpu/sgemm.h"

#include <dlfcn.h>

#include <cstdint>

#include "base/check.h"

namespace mobilevlm::train {
namespace {

using BlasSgemm = decltype(&sgemm_);
// oneDNN's dnnl_sgemm: by rows; 0 is success.
using OneDnnSgemm = int (*)(char, char, int64_t, int64_t, int64_t, float, const float*, int64_t, const float*,
                            int64_t, float, float*, int64_t);

struct Libraries {
  OneDnnSgemm one_dnn = nullptr;
  BlasSgemm blas = nullptr;

  static const Libraries& Found() {
    static const Libraries found = [] {
      Libraries libraries;
#if defined(__x86_64__)  // elsewhere oneDNN may have no kernel of its own
      libraries.one_dnn = reinterpret_cast<OneDnnSgemm>(::dlsym(RTLD_DEFAULT, "dnnl_sgemm"));
#endif
      libraries.blas = reinterpret_cast<BlasSgemm>(::dlsym(RTLD_NEXT, "sgemm_"));  // behind our own
      return libraries;
    }();
    return found;
  }
};

char Upper(char transpose) { return transpose == 'n' || transpose == 'N' ? 'N' : 'T'; }

}  // namespace

SgemmLibrary UsedSgemm() {
  return Libraries::Found().one_dnn != nullptr ? SgemmLibrary::kOneDnn : SgemmLibrary::kBlas;
}

}  // namespace mobilevlm::train

extern "C" __attribute__((visibility("default"))) void sgemm_(const char* transpose_a,
                                                              const char* transpose_b, const int* m,
                                                              const int* n, const int* k, const float* alpha,
                                                              const float* a, const int* lda, const float* b,
                                                              const int* ldb, const float* beta, float* c,
                                                              const int* ldc) {
  using namespace mobilevlm::train;
  const Libraries& libraries = Libraries::Found();
  // C by columns is its transpose by rows: C' = op(B)' op(A)'.
  if (libraries.one_dnn != nullptr && libraries.one_dnn(Upper(*transpose_b), Upper(*transpose_a), *n, *m, *k,
                                                        *alpha, b, *ldb, a, *lda, *beta, c, *ldc) == 0) {
    return;
  }
  MVLM_CHECK(libraries.blas != nullptr, "no library multiplies matrices");
  libraries.blas(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
