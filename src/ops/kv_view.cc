#include "ops/kv_view.h"

#include <algorithm>
#include <cstring>

namespace mobilevlm {
namespace {

void StoreRow(const KernelTable& kernels, DType type, const float* in, size_t n, std::byte* out) {
  switch (type) {
    case DType::kF16:
      return kernels.to_half(in, n, reinterpret_cast<uint16_t*>(out));
    case DType::kQ8_0:
      return kernels.to_q8_0(in, n, out);
    default:
      std::memcpy(out, in, n * sizeof(float));
  }
}

// out[i * kKeyBlock] = in[i], for both sizes of elements.
template <class T>
void Scatter(const T* in, size_t n, std::byte* out) {
  for (size_t i = 0; i < n; ++i) std::memcpy(out + i * kKeyBlock * sizeof(T), in + i, sizeof(T));
}

// One key of one head, `n` elements.
void StoreKey(const KernelTable& kernels, DType type, const float* in, size_t n, std::byte* out) {
  if (type == DType::kF32) return Scatter(in, n, out);
  constexpr size_t kPiece = 128;
  uint16_t halves[kPiece];
  for (size_t i = 0; i < n; i += kPiece) {
    const size_t count = std::min(kPiece, n - i);
    kernels.to_half(in + i, count, halves);
    Scatter(halves, count, out + i * kKeyBlock * sizeof(uint16_t));
  }
}

}  // namespace

KeyOrder CachedKeyOrder(DType type) { return type == DType::kQ8_0 ? KeyOrder::kRows : KeyOrder::kBlocks; }

size_t KeyOffset(DType type, size_t head_dim, size_t position, size_t d) {
  const size_t block = position / kKeyBlock * kKeyBlock * head_dim;
  return (block + d * kKeyBlock + position % kKeyBlock) * GetDTypeInfo(type).block_bytes;
}

bool IsKvType(DType type) { return type == DType::kF32 || type == DType::kF16 || type == DType::kQ8_0; }

size_t KvPositionBytes(DType type, size_t head_dim) {
  MVLM_CHECK(IsKvType(type), "keys of type {}", DTypeName(type));
  const DTypeInfo& info = GetDTypeInfo(type);
  return (head_dim + info.block_size - 1) / info.block_size * info.block_bytes;
}

void StoreKeyBlocks(const KernelTable& kernels, Mat<const float> in, DType type, size_t first,
                    std::byte* head) {
  MVLM_CHECK(CachedKeyOrder(type) == KeyOrder::kBlocks, "keys of type {}", DTypeName(type));
  for (size_t t = 0; t < in.rows(); ++t)
    StoreKey(kernels, type, in.row(t), in.cols(), head + KeyOffset(type, in.cols(), first + t, 0));
}

void PrefetchKey(DType type, size_t head_dim, size_t position, const std::byte* head) {
  for (size_t d = 0; d < head_dim; ++d) __builtin_prefetch(head + KeyOffset(type, head_dim, position, d), 1);
}

void StoreRows(const KernelTable& kernels, Mat<const float> in, DType type, std::byte* out,
               size_t position_bytes) {
  MVLM_CHECK(position_bytes >= KvPositionBytes(type, in.cols()), "{} bytes per position", position_bytes);
  for (size_t t = 0; t < in.rows(); ++t)
    StoreRow(kernels, type, in.row(t), in.cols(), out + t * position_bytes);
}

}  // namespace mobilevlm
