#include "ops/kv_view.h"

#include <algorithm>
#include <cstring>

#include "ops/parallel.h"

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

// Asks for the lines of a key that is about to be written: each element has one of its own, in memory as a
// rule, and stores wait for them one after the other.
void PrefetchKey(DType type, size_t n, const std::byte* out) {
  const size_t step = kKeyBlock * GetDTypeInfo(type).block_bytes;
  for (size_t i = 0; i < n; ++i) __builtin_prefetch(out + i * step, 1);
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

void StoreHeads(const OpsContext& ctx, Mat<const float> in, DType type, size_t head_dim, std::byte* out,
                size_t position_bytes, size_t head_bytes) {
  MVLM_CHECK(head_dim > 0 && in.cols() % head_dim == 0, "{} columns, head_dim {}", in.cols(), head_dim);
  MVLM_CHECK(position_bytes >= KvPositionBytes(type, head_dim), "{} bytes per position", position_bytes);
  ParallelRows(ctx, in.rows(), in.cols(), [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) {
      for (size_t head = 0; head < in.cols() / head_dim; ++head) {
        StoreRow(*ctx.kernels, type, in.row(t) + head * head_dim, head_dim,
                 out + head * head_bytes + t * position_bytes);
      }
    }
  });
}

void StoreKeyBlocks(const OpsContext& ctx, Mat<const float> in, DType type, size_t head_dim, size_t first,
                    std::byte* out, size_t head_bytes) {
  MVLM_CHECK(head_dim > 0 && in.cols() % head_dim == 0, "{} columns, head_dim {}", in.cols(), head_dim);
  MVLM_CHECK(CachedKeyOrder(type) == KeyOrder::kBlocks, "keys of type {}", DTypeName(type));
  // Head by head: the elements of a key lie lines apart, and those of the next key in the same lines.
  ParallelRows(ctx, in.cols() / head_dim, in.rows() * head_dim, [&](size_t begin, size_t end) {
    PrefetchKey(type, head_dim, out + begin * head_bytes + KeyOffset(type, head_dim, first, 0));
    for (size_t head = begin; head < end; ++head) {
      if (head + 1 < end) {
        PrefetchKey(type, head_dim, out + (head + 1) * head_bytes + KeyOffset(type, head_dim, first, 0));
      }
      for (size_t t = 0; t < in.rows(); ++t) {
        StoreKey(*ctx.kernels, type, in.row(t) + head * head_dim, head_dim,
                 out + head * head_bytes + KeyOffset(type, head_dim, first + t, 0));
      }
    }
  });
}

}  // namespace mobilevlm
