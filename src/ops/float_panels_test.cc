#include "ops/float_panels.h"

#include <cstring>

#include "ops/test_support.h"

namespace mobilevlm {
namespace {

using namespace test;

using FloatPanelsTest = OpsTest;
INSTANTIATE_TEST_SUITE_P(AllTables, FloatPanelsTest, ::testing::ValuesIn(RunnableKernels()), TableName);

constexpr DType kFloatTypes[] = {DType::kF32, DType::kF16, DType::kBF16};

// Element by element against the rows of the file, whole squares and what is left of them.
TEST(FloatPanels, HoldTheElementsOfRows) {
  for (const DType type : kFloatTypes) {
    const size_t size = RowBytes(type, 1).value(), step = FloatPanelStep(type);
    ASSERT_EQ(step, size * kFloatPanelOutputs);
    for (const size_t in : {1u, 7u, 8u, 31u, 32u, 33u, 70u}) {
      for (const size_t out : {1u, 63u, 64u, 65u, 130u}) {
        TestWeights w = RandomWeights(type, out, in, in * out);
        AddPanels(w);
        ASSERT_EQ(w.packed.size(), (out + 63) / 64 * 64 * in * size);
        const std::vector<std::byte> zero(size);
        for (size_t o = 0; o < w.packed.size() / in / size; ++o) {
          for (size_t i = 0; i < in; ++i) {
            const std::byte* wanted = o < out ? w.view.data + o * w.view.row_bytes + i * size : zero.data();
            const std::byte* found = w.packed.data() + o / 64 * in * step + i * step + o % 64 * size;
            ASSERT_EQ(std::memcmp(found, wanted, size), 0)
                << DTypeName(type) << " [" << out << ", " << in << "], output " << o << ", input " << i;
          }
        }
      }
    }
  }
}

TEST(FloatPanels, RangesArePackedApart) {
  constexpr size_t kIn = 40, kOut = 200;
  TestWeights w = RandomWeights(DType::kF16, kOut, kIn, 1);
  AddPanels(w);
  std::vector<std::byte> apart(w.packed.size());
  for (const size_t begin : {3u, 0u, 2u, 1u}) {
    PackFloatPanels(DType::kF16, w.view.data, w.view.row_bytes, kOut, kIn, begin, begin + 1, apart.data());
  }
  EXPECT_EQ(apart, w.packed);
}

TEST(FloatPanels, AreForFloats) {
  for (const DType type : kFloatTypes) EXPECT_TRUE(HasFloatPanels(type));
  for (const DType type : kQuantisedTypes) EXPECT_FALSE(HasFloatPanels(type));
}

// Panels are the same numbers in another order: the same sums, to the bit, for any number of tokens.
TEST_P(FloatPanelsTest, PanelsGiveTheBitsOfRows) {
  for (const DType type : kFloatTypes) {
    for (const size_t in : {1u, 33u, 256u, 257u, 544u}) {
      for (const size_t out : {1u, 31u, 64u, 65u, 200u}) {
        TestWeights w = RandomWeights(type, out, in, in + out);
        const std::vector<float> bias = RandomFloats(out, 3);
        if (out % 2 == 1) w.view.bias = bias.data();
        for (const size_t tokens : {1u, 2u, 5u, 13u, 30u}) {
          const std::vector<float> x = RandomFloats(tokens * in, tokens);
          std::vector<float> rows(tokens * out), panels(tokens * out, -99.0f);
          w.view.panels = nullptr;
          Linear(ctx(), View(x, tokens), w.view, View(rows, tokens));
          AddPanels(w);
          LinearWeights view = w.view;
          view.data = nullptr;  // panels are all that is read
          Linear(threaded(), View(x, tokens), view, View(panels, tokens));
          ASSERT_TRUE(SameBits(rows, panels))
              << DTypeName(type) << " [" << tokens << ", " << in << "] x [" << out << "]";
        }
      }
    }
  }
}

// Query, key and value in panels, of different types; one of them in rows.
TEST_P(FloatPanelsTest, PartsInPanelsAreTheSameAsOneAfterTheOther) {
  constexpr size_t kIn = 300;
  std::vector<TestWeights> w;
  w.push_back(RandomWeights(DType::kF16, 150, kIn, 1));
  w.push_back(RandomWeights(DType::kBF16, 33, kIn, 2));
  w.push_back(RandomWeights(DType::kF32, 260, kIn, 3));
  for (const size_t panels : {2u, 3u}) {
    for (size_t i = 0; i < panels; ++i) AddPanels(w[i]);
    for (const size_t tokens : {1u, 14u}) {
      const std::vector<float> x = RandomFloats(tokens * kIn, 5);
      std::vector<std::vector<float>> together, apart;
      for (const TestWeights& each : w) together.emplace_back(tokens * each.view.out);
      apart = together;
      Linear(threaded(), View(x, tokens),
             {{&w[0].view, View(together[0], tokens)},
              {&w[1].view, View(together[1], tokens)},
              {&w[2].view, View(together[2], tokens)}});
      for (size_t i = 0; i < 3; ++i) {
        Linear(ctx(), View(x, tokens), w[i].view, View(apart[i], tokens));
        EXPECT_TRUE(SameBits(together[i], apart[i])) << "part " << i << " of " << panels << " in panels";
      }
    }
  }
}

}  // namespace
}  // namespace mobilevlm
