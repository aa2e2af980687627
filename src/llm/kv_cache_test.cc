#include "llm/kv_cache.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/sanitizer.h"
#include "kernels/dispatch.h"
#include "tensor/blocks.h"
#include "tensor/half.h"

namespace mobilevlm {
namespace {

LlmConfig SmallConfig() {
  LlmConfig config;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 6;
  config.hidden = 24;
  return config;
}

class KvCacheOfType : public ::testing::TestWithParam<DType> {
 protected:
  // Element `column` of the key at one position, all heads side by side.
  float KeyAt(const KvView& view, size_t position, size_t column) const {
    if (view.key_order == KeyOrder::kRows) return At(view, view.k, position, column);
    const auto* key = static_cast<const std::byte*>(view.k) + column / view.head_dim * view.head_bytes +
                      KeyOffset(view.type, view.head_dim, position, column % view.head_dim);
    return GetParam() == DType::kF32 ? *reinterpret_cast<const float*>(key)
                                     : F16ToF32(*reinterpret_cast<const f16_t*>(key));
  }
  // The same of what lies in rows.
  float At(const KvView& view, const void* data, size_t position, size_t column) const {
    const auto* bytes = static_cast<const std::byte*>(data) + column / view.head_dim * view.head_bytes +
                        position * view.position_bytes;
    const size_t i = column % view.head_dim;
    if (GetParam() == DType::kF32) return reinterpret_cast<const float*>(bytes)[i];
    if (GetParam() == DType::kF16) return F16ToF32(reinterpret_cast<const f16_t*>(bytes)[i]);
    const auto* block = reinterpret_cast<const BlockQ8_0*>(bytes);
    return F16ToF32(block->d) * static_cast<float>(block->qs[i]);
  }
  // Rows of [tokens, 2 heads * 6].
  static void Store(KvCache& cache, size_t layer, Mat<const float> k, Mat<const float> v) {
    for (size_t head = 0; head < 2; ++head)
      cache.StoreHead(*RunnableKernels().back(), layer, head, k.Cols(head * 6, 6), v.Cols(head * 6, 6));
  }
};

TEST_P(KvCacheOfType, KeepsLayersKeysAndValuesApart) {
  constexpr size_t kWidth = 12;
  auto cache = KvCache::Create(SmallConfig(), GetParam(), 5);
  ASSERT_TRUE(cache);
  // Small integers are exact in both types: layer, key or value, position and column can be told apart.
  const auto value = [](size_t layer, bool v, size_t position, size_t column) {
    return static_cast<float>(layer * 1000 + (v ? 500 : 0) + position * 20 + column);
  };
  size_t position = 0;
  for (const size_t tokens : {size_t{2}, size_t{1}, size_t{2}}) {
    std::vector<float> k(tokens * kWidth), v(tokens * kWidth);
    for (size_t layer = 0; layer < 2; ++layer) {
      for (size_t i = 0; i < k.size(); ++i) {
        k[i] = value(layer, false, position + i / kWidth, i % kWidth);
        v[i] = value(layer, true, position + i / kWidth, i % kWidth);
      }
      Store(*cache, layer, Mat<const float>(k.data(), tokens, kWidth),
            Mat<const float>(v.data(), tokens, kWidth));
    }
    cache->Advance(tokens);
    position += tokens;
  }
  ASSERT_EQ(cache->length(), 5u);
  for (size_t layer = 0; layer < 2; ++layer) {
    const KvView view = cache->View(layer, 5);
    EXPECT_EQ(view.kv_heads, 2u);
    EXPECT_EQ(view.head_dim, 6u);
    for (size_t p = 0; p < 5; ++p) {
      for (size_t c = 0; c < kWidth; ++c) {
        // Q8_0 rounds to a 127th of the largest of a head, and its scale to 11 bits.
        const float k = value(layer, false, p, c);
        const float v = value(layer, true, p, c);
        ASSERT_NEAR(KeyAt(view, p, c), k, GetParam() == DType::kQ8_0 ? (k + 6) * 0.005f : 0.0f);
        ASSERT_NEAR(At(view, view.v, p, c), v, GetParam() == DType::kQ8_0 ? (v + 6) * 0.005f : 0.0f);
      }
    }
  }
}

TEST_P(KvCacheOfType, BytesCountEverything) {
  const size_t head = GetParam() == DType::kF32   ? 6 * 4
                      : GetParam() == DType::kF16 ? 6 * 2
                                                  : sizeof(BlockQ8_0);
  EXPECT_EQ(KvCache::Bytes(SmallConfig(), GetParam(), 7), 2 * 2 * kKeyBlock * 2 * head);
  EXPECT_EQ(KvCache::Bytes(SmallConfig(), GetParam(), kKeyBlock + 1), 2 * 2 * 2 * kKeyBlock * 2 * head);
}

TEST_P(KvCacheOfType, CopyBeginningContinuesApart) {
  constexpr size_t kWidth = 12, kTokens = kKeyBlock + 3;
  auto one = KvCache::Create(SmallConfig(), GetParam(), 2 * kKeyBlock);
  auto two = KvCache::Create(SmallConfig(), GetParam(), 2 * kKeyBlock);
  ASSERT_TRUE(one && two);
  const auto store = [&](KvCache& cache, size_t tokens, float value) {
    const std::vector<float> row(tokens * kWidth, value);
    const Mat<const float> rows(row.data(), tokens, kWidth);
    for (size_t layer = 0; layer < 2; ++layer) Store(cache, layer, rows, rows);
    cache.Advance(tokens);
  };
  store(*one, kTokens, 1);
  two->CopyBeginning(*one, kTokens - 1);
  EXPECT_EQ(two->length(), kTokens - 1);
  store(*two, 2, 2);
  for (size_t layer = 0; layer < 2; ++layer) {
    const KvView first = one->View(layer, kTokens), second = two->View(layer, kTokens + 1);
    EXPECT_NEAR(KeyAt(first, kTokens - 1, 3), 1, 0.01f);
    EXPECT_NEAR(KeyAt(second, kTokens - 2, 3), 1, 0.01f);
    EXPECT_NEAR(KeyAt(second, kTokens - 1, 3), 2, 0.01f);
    EXPECT_NEAR(At(second, second.v, kTokens, 11), 2, 0.01f);
  }
}

TEST_P(KvCacheOfType, TruncateMakesRoom) {
  auto cache = KvCache::Create(SmallConfig(), GetParam(), 3);
  ASSERT_TRUE(cache);
  cache->Advance(3);
  cache->Truncate(1);
  EXPECT_EQ(cache->length(), 1u);
  cache->Advance(2);
  EXPECT_EQ(cache->length(), cache->capacity());
}

INSTANTIATE_TEST_SUITE_P(Types, KvCacheOfType, ::testing::Values(DType::kF32, DType::kF16, DType::kQ8_0));

TEST(KvCacheDeathTest, OverflowAndGrowingTruncationAreOurMistakes) {
  auto cache = KvCache::Create(SmallConfig(), DType::kF32, 3);
  ASSERT_TRUE(cache);
  EXPECT_DEATH(cache->Advance(4), "positions");
  EXPECT_DEATH(cache->Truncate(1), "truncating");
}

TEST(KvCache, MemoryThatCannotBeHadIsAnError) {
  if (kAddressSanitizer) GTEST_SKIP() << "AddressSanitizer ends the process instead of returning no memory";
  const auto cache = KvCache::Create(SmallConfig(), DType::kF32, size_t{1} << 52);
  ASSERT_FALSE(cache);
  EXPECT_NE(cache.error().message.find("key-value cache"), std::string::npos);
}

}  // namespace
}  // namespace mobilevlm
