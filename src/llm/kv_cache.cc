#include "llm/kv_cache.h"

#include <cstring>

namespace mobilevlm {

namespace {

// Whole blocks of keys (ops/kv_view.h).
size_t PlanePositions(size_t positions) { return (positions + kKeyBlock - 1) / kKeyBlock * kKeyBlock; }

}  // namespace

uint64_t KvCache::Bytes(const LlmConfig& config, DType type, size_t capacity) {
  // The factors passed schema's limits, so the product is far below 2^64.
  return uint64_t{2} * static_cast<uint64_t>(config.layers) * PlanePositions(capacity) *
         static_cast<uint64_t>(config.kv_heads) * KvPositionBytes(type, static_cast<size_t>(config.head_dim));
}

Result<KvCache> KvCache::Create(const LlmConfig& config, DType type, size_t capacity) {
  KvCache cache;
  cache.type_ = type;
  cache.layers_ = static_cast<size_t>(config.layers);
  cache.capacity_ = capacity;
  cache.plane_positions_ = PlanePositions(capacity);
  cache.kv_heads_ = static_cast<size_t>(config.kv_heads);
  cache.head_dim_ = static_cast<size_t>(config.head_dim);
  cache.position_bytes_ = KvPositionBytes(type, cache.head_dim_);
  const uint64_t bytes = Bytes(config, type, capacity);
  const uint64_t rounded = (bytes + 64) / 64 * 64;  // never 0, a multiple of the alignment
  cache.data_.reset(static_cast<std::byte*>(std::aligned_alloc(64, rounded)));
  if (cache.data_ == nullptr) {
    return Fail("cannot get {} bytes for the key-value cache of {} positions", bytes, capacity);
  }
  return cache;
}

std::byte* KvCache::Plane(size_t layer, bool values) const {
  const size_t plane = layer * 2 + (values ? 1 : 0);
  return data_.get() + plane * kv_heads_ * head_bytes();
}

void KvCache::Store(const OpsContext& ctx, size_t layer, Mat<const float> k, Mat<const float> v) {
  const size_t width = kv_heads_ * head_dim_;
  MVLM_CHECK(layer < layers_ && k.rows() == v.rows() && k.rows() <= capacity_ - length_,
             "{} positions after {} of {}", k.rows(), length_, capacity_);
  MVLM_CHECK(k.cols() == width && v.cols() == width, "{} and {} columns, cache of {}", k.cols(), v.cols(),
             width);
  const size_t offset = length_ * position_bytes_;
  if (CachedKeyOrder(type_) == KeyOrder::kBlocks) {
    StoreKeyBlocks(ctx, k, type_, head_dim_, length_, Plane(layer, false), head_bytes());
  } else {
    StoreHeads(ctx, k, type_, head_dim_, Plane(layer, false) + offset, position_bytes_, head_bytes());
  }
  StoreHeads(ctx, v, type_, head_dim_, Plane(layer, true) + offset, position_bytes_, head_bytes());
}

void KvCache::Advance(size_t tokens) {
  MVLM_CHECK(tokens <= capacity_ - length_, "{} positions after {} of {}", tokens, length_, capacity_);
  length_ += tokens;
}

void KvCache::Truncate(size_t length) {
  MVLM_CHECK(length <= length_, "truncating {} positions to {}", length_, length);
  length_ = length;
}

void KvCache::CopyBeginning(const KvCache& other, size_t length) {
  MVLM_CHECK(length <= other.length_ && capacity_ == other.capacity_ && layers_ == other.layers_ &&
                 kv_heads_ == other.kv_heads_ && position_bytes_ == other.position_bytes_,
             "{} of {} positions, capacity {} and {}", length, other.length_, capacity_, other.capacity_);
  for (size_t head = 0; head < layers_ * 2 * kv_heads_; ++head) {
    const size_t offset = head * head_bytes();
    std::memcpy(data_.get() + offset, other.data_.get() + offset, PlanePositions(length) * position_bytes_);
  }
  length_ = length;
}

KvView KvCache::View(size_t layer, size_t length) const {
  MVLM_CHECK(layer < layers_ && length <= capacity_);
  return {.type = type_,
          .k = Plane(layer, false),
          .v = Plane(layer, true),
          .key_order = CachedKeyOrder(type_),
          .position_bytes = position_bytes_,
          .head_bytes = head_bytes(),
          .length = length,
          .kv_heads = kv_heads_,
          .head_dim = head_dim_};
}

}  // namespace mobilevlm
