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

void KvCache::StoreHead(const KernelTable& kernels, size_t layer, size_t head, Mat<const float> k,
                        Mat<const float> v) {
  MVLM_CHECK(layer < layers_ && k.rows() == v.rows() && k.rows() <= capacity_ - length_,
             "{} positions after {} of {}", k.rows(), length_, capacity_);
  MVLM_CHECK(head < kv_heads_ && k.cols() == head_dim_ && v.cols() == head_dim_,
             "{} and {} columns of head {}, cache of {} heads of {}", k.cols(), v.cols(), head, kv_heads_,
             head_dim_);
  const size_t at = head * head_bytes(), offset = length_ * position_bytes_;
  std::byte* keys = Plane(layer, false) + at;
  if (CachedKeyOrder(type_) == KeyOrder::kBlocks) {
    StoreKeyBlocks(kernels, k, type_, length_, keys);
  } else {
    StoreRows(kernels, k, type_, keys + offset, position_bytes_);
  }
  StoreRows(kernels, v, type_, Plane(layer, true) + at + offset, position_bytes_);
}

void KvCache::PrefetchHead(size_t layer, size_t head) const {
  if (CachedKeyOrder(type_) != KeyOrder::kBlocks) return;
  PrefetchKey(type_, head_dim_, length_, Plane(layer, false) + head * head_bytes());
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
