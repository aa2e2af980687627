#include "llm/kv_cache.h"

#include <cstring>

#include "ops/convert.h"

namespace mobilevlm {
namespace {

size_t ElementBytes(DType type) {
  MVLM_CHECK(type == DType::kF32 || type == DType::kF16, "a cache of {}", DTypeName(type));
  return type == DType::kF32 ? sizeof(float) : sizeof(f16_t);
}

}  // namespace

uint64_t KvCache::Bytes(const LlmConfig& config, DType type, size_t capacity) {
  // The factors passed schema's limits, so the product is far below 2^64.
  return uint64_t{2} * static_cast<uint64_t>(config.layers) * capacity *
         static_cast<uint64_t>(config.kv_heads) * static_cast<uint64_t>(config.head_dim) * ElementBytes(type);
}

Result<KvCache> KvCache::Create(const LlmConfig& config, DType type, size_t capacity) {
  KvCache cache;
  cache.type_ = type;
  cache.element_bytes_ = ElementBytes(type);
  cache.layers_ = static_cast<size_t>(config.layers);
  cache.capacity_ = capacity;
  cache.kv_heads_ = static_cast<size_t>(config.kv_heads);
  cache.head_dim_ = static_cast<size_t>(config.head_dim);
  const uint64_t bytes = Bytes(config, type, capacity);
  const uint64_t rounded = (bytes + 64) / 64 * 64;  // never 0, a multiple of the alignment
  cache.data_.reset(static_cast<std::byte*>(std::aligned_alloc(64, rounded)));
  if (cache.data_ == nullptr) {
    return Fail("cannot get {} bytes for the key-value cache of {} positions", bytes, capacity);
  }
  return cache;
}

std::byte* KvCache::At(size_t layer, bool values, size_t position) const {
  const size_t plane = layer * 2 + (values ? 1 : 0);
  return data_.get() + (plane * capacity_ + position) * kv_heads_ * head_dim_ * element_bytes_;
}

void KvCache::Store(const OpsContext& ctx, size_t layer, Mat<const float> k, Mat<const float> v) {
  const size_t width = kv_heads_ * head_dim_;
  MVLM_CHECK(layer < layers_ && k.rows() == v.rows() && k.rows() <= capacity_ - length_,
             "{} positions after {} of {}", k.rows(), length_, capacity_);
  MVLM_CHECK(k.cols() == width && v.cols() == width, "{} and {} columns, cache of {}", k.cols(), v.cols(),
             width);
  const auto store = [&](Mat<const float> from, bool values) {
    std::byte* to = At(layer, values, length_);
    if (type_ == DType::kF16) {
      ToHalf(ctx, from, reinterpret_cast<f16_t*>(to), width);
      return;
    }
    for (size_t t = 0; t < from.rows(); ++t) {
      std::memcpy(to + t * width * sizeof(float), from.row(t), width * sizeof(float));
    }
  };
  store(k, false);
  store(v, true);
}

void KvCache::Advance(size_t tokens) {
  MVLM_CHECK(tokens <= capacity_ - length_, "{} positions after {} of {}", tokens, length_, capacity_);
  length_ += tokens;
}

void KvCache::Truncate(size_t length) {
  MVLM_CHECK(length <= length_, "truncating {} positions to {}", length_, length);
  length_ = length;
}

KvView KvCache::View(size_t layer, size_t length) const {
  MVLM_CHECK(layer < layers_ && length <= capacity_);
  return {.type = type_,
          .k = At(layer, false, 0),
          .v = At(layer, true, 0),
          .stride = kv_heads_ * head_dim_,
          .length = length,
          .kv_heads = kv_heads_,
          .head_dim = head_dim_};
}

}  // namespace mobilevlm
