// libtorch's float32 matrix products, by the fastest library at hand.
//
// libtorch calls BLAS's sgemm_. A program that links this has one of its own, which the dynamic linker
// prefers: it hands the product to oneDNN, which Debian's libtorch brings along, and to BLAS where there is
// none. Measured on the model's shapes: docs/training.md.
//
// Thread contract: as BLAS; a product runs on as many threads as OpenMP gives the caller.
#pragma once

namespace mobilevlm::train {

enum class SgemmLibrary { kBlas, kOneDnn };

// Who multiplies, decided at the first product or call.
SgemmLibrary UsedSgemm();

}  // namespace mobilevlm::train

// C = alpha op(A) op(B) + beta C, all by columns: netlib's interface. Without any library the program ends.
extern "C" void sgemm_(const char* transpose_a, const char* transpose_b, const int* m, const int* n,
                       const int* k, const float* alpha, const float* a, const int* lda, const float* b,
                       const int* ldb, const float* beta, float* c, const int* ldc);
