// Keys and values as attention reads them: per head a matrix [length, head_dim] of one element type. The
// matrices of a cache lie head after head, so that a decoded token reads each of them as one stream.
//
// A query's products with many keys sum over head_dim, so a cache holds its keys transposed, in blocks of
// kKeyBlock positions, [head_dim, kKeyBlock]: neighbouring sums then read neighbouring elements. Q8_0, whose
// scales belong to 32 elements of one key, stays in rows.
#pragma once

#include <cstddef>

#include "kernels/kernels.h"
#include "tensor/dtype.h"
#include "tensor/mat.h"

namespace mobilevlm {

constexpr size_t kKeyBlock = 64;  // a multiple of every panel width

enum class KeyOrder { kRows, kBlocks };
// How a cache of this type holds its keys.
KeyOrder CachedKeyOrder(DType type);

// Keys and values of one layer, read-only. Position p of head h starts at v + h * head_bytes + p *
// position_bytes, and likewise at k in rows. In blocks, element d of that key is at
// k + h * head_bytes + KeyOffset(type, head_dim, p, d).
struct KvView {
  DType type = DType::kF32;  // F32, F16 or Q8_0
  const void* k = nullptr;
  const void* v = nullptr;
  KeyOrder key_order = KeyOrder::kRows;
  size_t position_bytes = 0;  // at least KvPositionBytes
  size_t head_bytes = 0;
  size_t length = 0;  // positions that hold data
  size_t kv_heads = 0;
  size_t head_dim = 0;
};

// True for F32, F16 and Q8_0.
bool IsKvType(DType type);

// Bytes of one position of one head. Q8_0 has a scale per 32 elements of a head; where head_dim is not a
// multiple of 32, the last block is filled up with zeros: a head of 80 takes 3 blocks, 102 bytes.
size_t KvPositionBytes(DType type, size_t head_dim);

// Bytes from a head's start to element `d` of the key at `position`, in blocks.
size_t KeyOffset(DType type, size_t head_dim, size_t position, size_t d);

// Writes keys [tokens, head_dim] of one head of a cache of `type`, F32 or F16, whose keys are in blocks, at
// the positions first .. . Rounded as by StoreRows.
void StoreKeyBlocks(const KernelTable& kernels, Mat<const float> in, DType type, size_t first,
                    std::byte* head);
// Asks for the memory of such a key before it is written: each of its elements has a line of its own, and
// stores wait for them one after the other.
void PrefetchKey(DType type, size_t head_dim, size_t position, const std::byte* head);

// Writes keys or values [tokens, head_dim] of one head as rows, position_bytes apart. Rounded to nearest
// even; beyond the range of a half becomes infinity; a block of Q8_0 that holds a NaN or an infinity becomes
// NaN.
void StoreRows(const KernelTable& kernels, Mat<const float> in, DType type, std::byte* out,
               size_t position_bytes);

}  // namespace mobilevlm
