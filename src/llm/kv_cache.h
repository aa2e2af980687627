// KvCache: the keys and values of one conversation, all layers, f32, f16 or q8_0.
//
// Memory is taken once for the whole capacity; pages that no position has reached cost nothing yet.
// Not thread-safe but for StoreHead: belongs to one conversation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "base/result.h"
#include "ops/kv_view.h"
#include "schema/config.h"
#include "tensor/dtype.h"
#include "tensor/mat.h"

namespace mobilevlm {

class KvCache {
 public:
  // `type` is F32, F16 or Q8_0, `capacity` the number of positions. An Error if the memory cannot be had.
  static Result<KvCache> Create(const LlmConfig& config, DType type, size_t capacity);

  static uint64_t Bytes(const LlmConfig& config, DType type, size_t capacity);

  DType type() const { return type_; }
  size_t capacity() const { return capacity_; }
  size_t length() const { return length_; }

  // Writes keys and values [tokens, head_dim] of one head of `layer` at positions length() ..; the length
  // itself grows once per step, by Advance, when every head of every layer has stored its part. Different
  // heads may be stored at the same time.
  void StoreHead(const KernelTable& kernels, size_t layer, size_t head, Mat<const float> k,
                 Mat<const float> v);
  // Asks for the memory of the next key of a head, which StoreHead is about to write.
  void PrefetchHead(size_t layer, size_t head) const;
  void Advance(size_t tokens);

  // Forgets everything from position `length` on.
  void Truncate(size_t length);

  // Becomes the first `length` positions of `other`, a cache of the same model, type and capacity.
  void CopyBeginning(const KvCache& other, size_t length);

  // The first `length` positions of one layer.
  KvView View(size_t layer, size_t length) const;

 private:
  KvCache() = default;
  size_t head_bytes() const { return plane_positions_ * position_bytes_; }
  std::byte* Plane(size_t layer, bool values) const;

  DType type_ = DType::kF32;
  size_t position_bytes_ = 0;  // of one head
  size_t layers_ = 0;
  size_t capacity_ = 0;
  size_t plane_positions_ = 0;  // the capacity in whole blocks of keys
  size_t length_ = 0;
  size_t kv_heads_ = 0;
  size_t head_dim_ = 0;
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte[], Free>
      data_;  // [layers, keys and values, kv_heads, plane_positions, position_bytes]
};

}  // namespace mobilevlm
