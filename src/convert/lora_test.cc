// A LoRA adapter merged while converting is the same as its matrices merged in float64 beforehand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "convert/convert.h"
#include "convert/test_support.h"

namespace mobilevlm {
namespace {

using ::testing::HasSubstr;

constexpr size_t kRank = 3;
constexpr double kAlpha = 5;

TestTensor RandomTensor(Random& random, std::vector<uint64_t> shape) {
  TestTensor tensor{std::move(shape), {}};
  uint64_t elements = 1;
  for (const uint64_t extent : tensor.shape) elements *= extent;
  for (uint64_t i = 0; i < elements; ++i) {
    tensor.values.push_back(static_cast<float>(static_cast<int>(random.Below(2001)) - 1000) / 2048);
  }
  return tensor;
}

// A base, an adapter to it, and the model that both together are.
class LoraTest : public DirectoryTest {
 protected:
  const std::vector<std::string> kTargets = {
      "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.v_proj", "model.layers.1.mlp.down_proj"};
  const std::string kReplaced = "model.mm_projector.mlp.mlp.0.weight";

  void SetUp() override {
    DirectoryTest::SetUp();
    Random random(7);
    base_ = merged_ = ReadTensors(kGolden + "nano-ldpv2/hf");
    for (const std::string& target : kTargets) {
      TestTensor& w = merged_.at(target + ".weight");
      const uint64_t rows = w.shape[0], columns = w.shape[1];
      const TestTensor a = RandomTensor(random, {kRank, columns});
      const TestTensor b = RandomTensor(random, {rows, kRank});
      for (size_t i = 0; i < rows; ++i) {
        for (size_t j = 0; j < columns; ++j) {
          double sum = 0;
          for (size_t r = 0; r < kRank; ++r)
            sum += double{b.values[i * kRank + r]} * a.values[r * columns + j];
          float& value = w.values[i * columns + j];
          value = static_cast<float>(value + kAlpha / kRank * sum);
        }
      }
      adapter_["base_model.model." + target + ".lora_A.weight"] = a;
      adapter_["base_model.model." + target + ".lora_B.weight"] = b;
    }
    merged_.at(kReplaced) = RandomTensor(random, merged_.at(kReplaced).shape);
    others_["base_model.model." + kReplaced] = merged_.at(kReplaced);
  }

  void WriteAdapter(const std::string& file, const std::string& more = "") {
    std::filesystem::create_directories(Path("lora"));
    WriteWeights(Path("lora/" + file), adapter_, DType::kF32);
    WriteWeights(Path("lora/non_lora_trainables.bin"), others_, DType::kF32);
    const std::string config = fmt::format(
        R"({{"peft_type": "LORA", "r": {}, "lora_alpha": {}, "bias": "none"{}}})", kRank, kAlpha, more);
    ASSERT_TRUE(WriteFileAtomically(Path("lora/adapter_config.json"), config));
  }

  std::string ErrorOf(const std::string& base) {
    ConvertOptions options{Path("lora"), Path("out")};
    options.base = base;
    const auto written = ConvertHfDirectory(options);
    return written ? "" : written.error().message;
  }

  TestTensors base_, merged_, adapter_, others_;
};

TEST_F(LoraTest, MergedWhileConvertingEqualsMergedInFloat64) {
  WriteDirectory(Path("base"), "nano-ldpv2", base_, DType::kF16, "bin");
  WriteDirectory(Path("merged"), "nano-ldpv2", merged_, DType::kF32);
  for (const std::string file : {"adapter_model.bin", "adapter_model.safetensors"}) {
    std::filesystem::remove_all(Path("lora"));
    WriteAdapter(file);
    for (const DType type : {DType::kF16, DType::kF32}) {
      SCOPED_TRACE(fmt::format("{} {}", file, DTypeName(type)));
      ConvertOptions options{Path("lora"), Path("found"), type, type};
      options.base = Path("base");
      const auto found = ConvertHfDirectory(options);
      ASSERT_TRUE(found) << found.error().message;
      ASSERT_TRUE(ConvertHfDirectory({Path("merged"), Path("wanted"), type, type}));
      ExpectSameFile(Path("found/text.gguf"), Path("wanted/text.gguf"));
      ExpectSameFile(Path("found/mmproj.gguf"), Path("wanted/mmproj.gguf"));
    }
  }
  // The adapter changes something at all.
  ASSERT_TRUE(ConvertHfDirectory({Path("base"), Path("plain")}));
  EXPECT_NE(ReadFile(Path("plain/text.gguf"), 1 << 24).value(),
            ReadFile(Path("found/text.gguf"), 1 << 24).value());
}

TEST_F(LoraTest, Refusals) {
  WriteDirectory(Path("base"), "nano-ldpv2", base_, DType::kF16);
  WriteAdapter("adapter_model.bin");
  EXPECT_EQ(ErrorOf(Path("base")), "");
  EXPECT_THAT(ErrorOf(""), HasSubstr("is a LoRA adapter: the model it was trained on is needed"));
  ConvertOptions no_adapter{Path("base"), Path("out")};
  no_adapter.base = Path("base");
  EXPECT_THAT(ConvertHfDirectory(no_adapter).error().message, HasSubstr("is no LoRA adapter"));

  WriteAdapter("adapter_model.bin", R"(, "use_dora": true)");
  EXPECT_THAT(ErrorOf(Path("base")), HasSubstr("use_dora: wanted false, found true"));
  WriteAdapter("adapter_model.bin", R"(, "rank_pattern": {"q_proj": 4})");
  EXPECT_THAT(ErrorOf(Path("base")), HasSubstr("rank_pattern: wanted {}"));
  WriteAdapter("adapter_model.bin", R"(, "r": 4)");
  EXPECT_THAT(ErrorOf(Path("base")), HasSubstr("wanted lora_A [4, columns]"));

  const TestTensors good = adapter_;
  adapter_.erase(adapter_.begin());
  WriteAdapter("adapter_model.bin");
  EXPECT_THAT(ErrorOf(Path("base")),
              HasSubstr("lora_A of model.layers.0.self_attn.q_proj.weight is missing"));
  adapter_ = good;
  for (const char* part : {"A", "B"}) {
    auto moved = adapter_.extract(fmt::format("base_model.model.{}.lora_{}.weight", kTargets[0], part));
    moved.key() = fmt::format("base_model.model.model.layers.9.self_attn.q_proj.lora_{}.weight", part);
    adapter_.insert(std::move(moved));
  }
  WriteAdapter("adapter_model.bin");
  EXPECT_THAT(ErrorOf(Path("base")), HasSubstr("model.layers.9.self_attn.q_proj.weight is missing"));
  adapter_ = good;
  others_["base_model.model.model.other_projector.weight"] = {{2}, {1, 2}};
  WriteAdapter("adapter_model.bin");
  EXPECT_THAT(ErrorOf(Path("base")), HasSubstr("model.other_projector.weight is none of this model"));
}

}  // namespace
}  // namespace mobilevlm
