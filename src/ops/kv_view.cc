#include "ops/kv_view.h"

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

}  // namespace

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

}  // namespace mobilevlm
