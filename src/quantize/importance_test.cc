#include "quantize/importance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "gguf/reader.h"
#include "gguf/writer.h"

namespace mobilevlm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string TemporaryPath(const std::string& name) {
  return (std::filesystem::path(::testing::TempDir()) / ("mobilevlm_importance_" + name)).string();
}

TEST(Importance, MeanSquaresByColumn) {
  Importance importance;
  const float x[] = {1, 2, 99, 3, 0, 99};  // rows of 2, three floats apart
  importance.Add("w", x, 2, 2, 3);
  EXPECT_THAT(importance.Of("w"), ElementsAre(10.0f / 7, 4.0f / 7));  // 10 and 4, with average 1
  importance.Add("w", x, 1, 2, 3);
  EXPECT_THAT(importance.Of("w"), ElementsAre(11.0f / 9.5f, 8.0f / 9.5f));
  EXPECT_TRUE(importance.Of("other").empty());

  const float zeros[4] = {};
  importance.Add("dead", zeros, 1, 4, 4);
  EXPECT_THAT(importance.Of("dead"), ElementsAre(1, 1, 1, 1));
  const float half_dead[] = {1, 0};
  importance.Add("half", half_dead, 1, 2, 2);
  EXPECT_THAT(importance.Of("half"), ElementsAre(2.0f, 1e-6f));
}

TEST(Importance, FileRoundTrip) {
  const std::string path = TemporaryPath("roundtrip");
  Importance importance;
  const float x[] = {1, 2, 3, 4};
  importance.Add("blk.0.attn_q.weight", x, 2, 2, 2);
  importance.Add("v.blk.0.attn_q.weight", x, 1, 4, 4);
  ASSERT_TRUE(importance.Save(path, "mini world", 7));
  const auto loaded = Importance::Load(path);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->tensors(), 2u);
  EXPECT_EQ(loaded->Of("blk.0.attn_q.weight"), importance.Of("blk.0.attn_q.weight"));
  const auto file = GgufFile::Open(path);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->GetU32("imatrix.chunk_count").value(), 7u);
  EXPECT_THAT(file->FindTensor("blk.0.attn_q.weight.in_sum2")->shape, ElementsAre(1, 2));
  std::filesystem::remove(path);
}

TEST(Importance, BadFilesAreNamed) {
  EXPECT_THAT(Importance::Load(MOBILEVLM_SOURCE_DIR "/tests/golden/nano-ldpv2/text.gguf").error().message,
              HasSubstr("no importance matrix"));
  const auto error_of = [](const std::string& sums, const std::string& counts, std::vector<uint64_t> shape,
                           float value) {
    const std::string path = TemporaryPath("bad");
    GgufWriter out;
    out.SetString("general.type", "imatrix");
    const auto fill = [value](size_t n) {
      const std::vector<float> values(n, value);
      const auto* begin = reinterpret_cast<const std::byte*>(values.data());
      return [data = std::vector<std::byte>(begin, begin + 4 * n)] { return data; };
    };
    if (!sums.empty()) out.AddTensor(sums, DType::kF32, shape, fill(shape[0] * shape[1]));
    if (!counts.empty()) out.AddTensor(counts, DType::kF32, {1, 1}, fill(1));
    EXPECT_TRUE(out.Write(path));
    const auto loaded = Importance::Load(path);
    std::filesystem::remove(path);
    return loaded ? std::string("no error") : loaded.error().message;
  };
  EXPECT_EQ(error_of("w.in_sum2", "w.counts", {1, 4}, 1), "no error");
  EXPECT_THAT(error_of("", "", {1, 4}, 1), HasSubstr("empty"));
  EXPECT_THAT(error_of("w.in_sum2", "", {1, 4}, 1), HasSubstr("w.counts is missing"));
  EXPECT_THAT(error_of("w.in_sum2", "w.counts", {8, 4}, 1), HasSubstr("w.in_sum2: wanted one row of F32"));
  EXPECT_THAT(error_of("w.in_sum2", "w.counts", {1, 4}, 0), HasSubstr("one count above 0"));
  EXPECT_THAT(error_of("w.in_sum2", "w.counts", {1, 4}, -1), HasSubstr("w.in_sum2 holds -1"));
  EXPECT_THAT(error_of("w.in_sum2", "w.counts", {1, 4}, std::numeric_limits<float>::quiet_NaN()),
              HasSubstr("w.in_sum2 holds"));
}

}  // namespace
}  // namespace mobilevlm
