#include "synth/synth.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/read_file.h"
#include "gguf/reader.h"
#include "schema/read_config.h"
#include "schema/tensors.h"
#include "synth/random_weights.h"
#include "synth/vocabulary.h"
#include "tensor/dequantize.h"

namespace mobilevlm {
namespace {

namespace fs = std::filesystem;

class SynthTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    directory_ = fs::path(::testing::TempDir()) / fmt::format("mobilevlm_synth_{}", info->name());
    fs::remove_all(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  SynthOptions Mini(DType text, DType vision, const std::string& folder = "out") const {
    SynthOptions options;
    options.size = FindModelSize("mini").value();
    options.text_type = text;
    options.vision_type = vision;
    options.threads = 2;
    options.out_dir = (directory_ / folder).string();
    return options;
  }

  fs::path directory_;
};

std::string Bytes(const std::string& path) { return ReadFile(path, 1u << 28).value(); }

TEST_F(SynthTest, EveryTypeGivesAPairThatTheLoaderAccepts) {
  for (const DType type :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
        DType::kQ8_0, DType::kQ2_K, DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    EXPECT_EQ(ParseSynthType(DTypeName(type)).value(), type);
    SynthOptions options = Mini(type, type);
    options.size.vision.hidden = 256;  // whole blocks of 256
    options.size.vision.heads = 4;
    ASSERT_TRUE(SynthesizeModel(options)) << DTypeName(type);
    const GgufFile text = GgufFile::Open(options.out_dir + "/text.gguf").value();
    const GgufFile mmproj = GgufFile::Open(options.out_dir + "/mmproj.gguf").value();

    const LlmConfig llm = ReadLlmConfig(text).value();
    EXPECT_EQ(llm.hidden, options.size.llm.hidden);
    EXPECT_EQ(llm.rms_eps, options.size.llm.rms_eps);
    const auto text_tensors = TensorMap::Bind(text, LlmTensors(llm));
    ASSERT_TRUE(text_tensors) << text_tensors.error().message;
    EXPECT_EQ(text_tensors->Get("lm_head.weight").type, type);

    const auto mmproj_tensors = TensorMap::Bind(mmproj, MmprojTensors(mmproj).value());
    ASSERT_TRUE(mmproj_tensors) << mmproj_tensors.error().message;
    EXPECT_EQ(ReadVisionConfig(mmproj).value().used_layers, options.size.vision.used_layers);
    EXPECT_TRUE(CheckFit(llm, ReadProjectorConfig(mmproj).value()));
    EXPECT_EQ(mmproj.FindTensor("v.blk.0.attn_q.weight")->type, type);
    EXPECT_EQ(mmproj.FindTensor("v.patch_embd.weight")->type,
              type == DType::kF32 ? DType::kF32 : DType::kF16);
  }
}

TEST_F(SynthTest, TheMmprojHasTheKeysOfTheFilesInCirculation) {
  const SynthOptions options = Mini(DType::kF16, DType::kF16);
  ASSERT_TRUE(SynthesizeModel(options));
  const GgufFile mmproj = GgufFile::Open(options.out_dir + "/mmproj.gguf").value();
  EXPECT_EQ(mmproj.metadata().size(), 19u + 1);
  EXPECT_TRUE(
      mmproj.Has("clip.vision.feature_layer"));  // and this one, so that all of them run elsewhere, too
  EXPECT_EQ(mmproj.GetString("clip.projector_type").value(), "ldpv2");
}

TEST_F(SynthTest, SeedDecidesAndThreadsDoNot) {
  SynthOptions options = Mini(DType::kQ4_0, DType::kQ8_0, "a");
  ASSERT_TRUE(SynthesizeModel(options));
  const std::string text = Bytes(options.out_dir + "/text.gguf");
  const std::string mmproj = Bytes(options.out_dir + "/mmproj.gguf");

  options.out_dir = (directory_ / "b").string();
  options.threads = 1;
  options.text = false;  // either file is the same without the other
  ASSERT_TRUE(SynthesizeModel(options));
  EXPECT_FALSE(fs::exists(options.out_dir + "/text.gguf"));
  EXPECT_TRUE(Bytes(options.out_dir + "/mmproj.gguf") == mmproj);

  options.text = true;
  ASSERT_TRUE(SynthesizeModel(options));
  EXPECT_TRUE(Bytes(options.out_dir + "/text.gguf") == text);
  options.seed = 2;
  ASSERT_TRUE(SynthesizeModel(options));
  EXPECT_FALSE(Bytes(options.out_dir + "/text.gguf") == text);
}

TEST_F(SynthTest, AnOddWidthIsRefusedByName) {
  SynthOptions options = Mini(DType::kQ8_0, DType::kQ8_0);
  options.size.llm.intermediate = 780;
  const Status status = SynthesizeModel(options);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message,
            "tensor blk.0.ffn_down.weight: rows of 780 values are no whole blocks of 32 values (Q8_0)");
  EXPECT_FALSE(fs::exists(options.out_dir));
  EXPECT_EQ(SynthesizeModel(Mini(DType::kQ4_K, DType::kQ4_K)).error().message,
            "tensor v.blk.0.attn_q.weight: rows of 192 values are no whole blocks of 256 values (Q4_K)");
}

TEST_F(SynthTest, ProgressEndsWithAllAndItsErrorLeavesNoFile) {
  for (const SynthLayout layout : {SynthLayout::kGguf, SynthLayout::kHfBin, SynthLayout::kHfSafetensors}) {
    SynthOptions options = Mini(DType::kF16, DType::kF16, fmt::format("{}", static_cast<int>(layout)));
    options.layout = layout;
    uint64_t last = 0, all = 0;
    options.progress = [&](uint64_t done, uint64_t total) -> Status {
      EXPECT_GT(done, last);
      last = done;
      all = total;
      return {};
    };
    ASSERT_TRUE(SynthesizeModel(options));
    EXPECT_EQ(last, all);
    EXPECT_GT(all, 1'000'000u);

    options.out_dir += "_stopped";
    options.progress = [](uint64_t, uint64_t) -> Status { return Fail("stopped"); };
    const Status stopped = SynthesizeModel(options);
    ASSERT_FALSE(stopped);
    EXPECT_NE(stopped.error().message.find("stopped"), std::string::npos) << stopped.error().message;
    EXPECT_TRUE(fs::is_empty(options.out_dir));
  }
}

TEST_F(SynthTest, ADirectoryThatCannotBeMadeIsNamed) {
  SynthOptions options = Mini(DType::kQ8_0, DType::kQ8_0);
  options.out_dir = "/proc/nowhere";
  const Status status = SynthesizeModel(options);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("/proc/nowhere"), std::string::npos) << status.error().message;
}

TEST_F(SynthTest, UnknownWordsListTheKnownOnes) {
  EXPECT_EQ(FindModelSize("2b").error().message, "wanted a size of 1.7b, 3b, 7b, mini, found 2b");
  EXPECT_EQ(ParseSynthType("Q8_0").value(), DType::kQ8_0);
  EXPECT_EQ(ParseSynthType("q4_k").value(), DType::kQ4_K);
  const auto unknown = ParseSynthType("q9");
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("q4_0"), std::string::npos);
  EXPECT_NE(unknown.error().message.find("found q9"), std::string::npos);
}

// Mean and standard deviation of what a stream holds.
std::pair<double, double> Moments(const std::vector<float>& values) {
  double sum = 0, squares = 0;
  for (const double value : values) sum += value, squares += value * value;
  const double n = static_cast<double>(values.size());
  return {sum / n, std::sqrt(squares / n - (sum / n) * (sum / n))};
}

TEST(RandomWeights, HaveTheWantedDistribution) {
  constexpr uint64_t kElements = 1 << 20;
  for (const DType type :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kQ6_K}) {
    RandomWeights weights(7, 1);
    std::vector<std::byte> bytes;
    ASSERT_TRUE(weights.Stream(type, {.mean = 1.0f, .deviation = 0.25f}, kElements,
                               [&](std::span<const std::byte> piece) -> Status {
                                 bytes.insert(bytes.end(), piece.begin(), piece.end());
                                 return {};
                               }));
    ASSERT_EQ(bytes.size(), RowBytes(type, kElements).value());
    const auto [mean, deviation] = Moments(DequantizeTensor(type, bytes));
    EXPECT_NEAR(mean, 1.0, 0.005) << DTypeName(type);
    EXPECT_NEAR(deviation, 0.25, 0.01) << DTypeName(type);
  }
}

TEST(RandomWeights, OddSizesAndSinksThatFail) {
  RandomWeights weights(7, 2);
  for (const uint64_t elements : {1u, 31u, 33u, 588u, (1u << 20) + 5u}) {
    uint64_t bytes = 0;
    ASSERT_TRUE(weights.Stream(DType::kF16, {}, elements, [&](std::span<const std::byte> piece) -> Status {
      bytes += piece.size();
      return {};
    }));
    EXPECT_EQ(bytes, 2 * elements);
  }
  const Status status =
      weights.Stream(DType::kF16, {}, 100, [](std::span<const std::byte>) -> Status { return Fail("full"); });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "full");
}

TEST(SyntheticVocabulary, EncodesAnyTextAndKeepsPromptsShort) {
  const Tokenizer tokenizer = Tokenizer::Create(SyntheticVocabulary(32000)).value();
  EXPECT_EQ(tokenizer.size(), 32000);
  EXPECT_EQ(tokenizer.Type(0), PieceType::kUnknown);
  EXPECT_EQ(tokenizer.Type(tokenizer.bos()), PieceType::kControl);
  EXPECT_EQ(tokenizer.Type(tokenizer.eos()), PieceType::kControl);
  EXPECT_EQ(tokenizer.Type(3), PieceType::kByte);
  for (const std::string text : {"What is in the picture?", "Wörter, 42 % – and 犬\n", "xyzzy  </s> ▁"}) {
    const std::vector<int> ids = tokenizer.Encode(text);
    // U+2581 itself stands for a space.
    if (text.find("▁") == std::string::npos) {
      EXPECT_EQ(tokenizer.Decode(ids), text);
    }
    for (const int id : ids) EXPECT_NE(tokenizer.Type(id), PieceType::kUnknown) << text;
  }
  // LLaMA's tokenizer makes 36 ids of this.
  const std::vector<int> system = tokenizer.Encode(
      "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
      "detailed, and polite answers to the user's questions.");
  EXPECT_LE(system.size(), 36u);
  EXPECT_GE(system.size(), 24u);
}

TEST(SyntheticVocabulary, SmallAndLargeSizesArePaddedOrCut) {
  for (const int size : {600, 2048, 50000}) {
    EXPECT_EQ(Tokenizer::Create(SyntheticVocabulary(size)).value().size(), size);
  }
}

}  // namespace
}  // namespace mobilevlm
