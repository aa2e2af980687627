// Hugging Face -> GGUF -> Hugging Face: nothing that the model uses may change.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "checkpoint/hf_directory.h"
#include "convert/convert.h"
#include "convert/test_support.h"
#include "convert/to_hf.h"

namespace mobilevlm {
namespace {

using ::testing::HasSubstr;

struct Layout {
  std::string model;
  DType type;
  std::string extension;
  size_t shards;
};

class RoundTrip : public DirectoryTest, public ::testing::WithParamInterface<Layout> {};

std::vector<TensorSpec> UsedTensors(const HfConfig& config) {
  std::vector<TensorSpec> specs = LlmTensors(config.llm);
  for (TensorSpec& spec : VisionTensors(config.vision)) specs.push_back(std::move(spec));
  for (TensorSpec& spec : ProjectorTensors(config.projector)) specs.push_back(std::move(spec));
  return specs;
}

TEST_P(RoundTrip, EveryUsedTensorIsTheSameToTheBit) {
  const auto& [model, type, extension, shards] = GetParam();
  const std::string source = Path("source");
  WriteDirectory(source, model, ReadTensors(kGolden + model + "/hf"), type, extension, shards);
  const auto converted = ConvertHfDirectory({source, Path("gguf"), type, type});
  ASSERT_TRUE(converted) << converted.error().message;
  const auto back = ConvertToHf({Path("gguf/text.gguf"), Path("gguf/mmproj.gguf"), Path("back")});
  ASSERT_TRUE(back) << back.error().message;

  const auto original = HfDirectory::Open(source);
  const auto found = HfDirectory::Open(Path("back"));
  ASSERT_TRUE(original) << original.error().message;
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(back->vision_blocks, original->config.vision.stored_layers - 1);
  EXPECT_EQ(found->config.vision.stored_layers, original->config.vision.stored_layers - 1);
  EXPECT_EQ(found->config.vision.used_layers, original->config.vision.used_layers);
  EXPECT_THAT(ReadFile(Path("back/config.json"), 1 << 20).value(),
              HasSubstr("\"mm_vision_select_layer\": -1"));

  const std::vector<TensorSpec> used = UsedTensors(original->config);
  EXPECT_EQ(found->weights.tensors().size(), used.size());  // the last block and post_layernorm are gone
  EXPECT_GT(original->weights.tensors().size(), used.size());
  for (const TensorSpec& spec : used) {
    const NamedTensor* wanted = original->weights.Find(spec.hf_name);
    const NamedTensor* ours = found->weights.Find(spec.hf_name);
    ASSERT_NE(wanted, nullptr) << spec.hf_name;
    ASSERT_NE(ours, nullptr) << spec.hf_name;
    EXPECT_EQ(ours->type, wanted->type) << spec.hf_name;
    EXPECT_EQ(ours->shape, wanted->shape) << spec.hf_name;
    ASSERT_EQ(ours->data.size(), wanted->data.size()) << spec.hf_name;
    EXPECT_EQ(std::memcmp(ours->data.data(), wanted->data.data(), ours->data.size()), 0) << spec.hf_name;
  }

  // Numbers and vocabulary came back, too.
  ASSERT_TRUE(ConvertHfDirectory({Path("back"), Path("again"), type, type}));
  for (const std::string name : {"/text.gguf", "/mmproj.gguf"}) {
    ExpectSameFile(Path("again") + name, Path("gguf") + name);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Layouts, RoundTrip,
    ::testing::Values(
        Layout{"nano-ldpv2", DType::kF16, "safetensors", 1},
        Layout{"nano-ldpv2", DType::kF16, "safetensors", 3}, Layout{"nano-ldpv2", DType::kF16, "bin", 1},
        Layout{"nano-ldpv2", DType::kF16, "bin", 2}, Layout{"nano80-ldp", DType::kF16, "safetensors", 1},
        Layout{"nano80-ldp", DType::kF16, "bin", 1}, Layout{"nano80-ldp", DType::kF16, "bin", 2},
        Layout{"nano-mlp", DType::kF16, "bin", 2}, Layout{"nano-ldpv2", DType::kBF16, "bin", 1},
        Layout{"nano80-ldp", DType::kBF16, "safetensors", 1}, Layout{"nano80-ldp", DType::kF32, "bin", 1}),
    [](const auto& parameters) {
      std::string name = fmt::format("{}_{}_{}_{}", parameters.param.model, DTypeName(parameters.param.type),
                                     parameters.param.extension, parameters.param.shards);
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

using ToHf = DirectoryTest;

TEST_F(ToHf, ATextModelAlone) {
  const auto report = ConvertToHf({kGolden + "nano80-ldp/text.gguf", "", Path("out")});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->vision_blocks, 0);
  const auto hf = HfDirectory::Open(Path("out"));
  ASSERT_TRUE(hf) << hf.error().message;
  EXPECT_FALSE(hf->config.multimodal);
  const auto written = ConvertHfDirectory({Path("out"), Path("gguf")});
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_EQ(*written, std::vector{Path("gguf/text.gguf")});
  const auto a = GgufFile::Open(Path("gguf/text.gguf"));
  const auto b = GgufFile::Open(kGolden + "nano80-ldp/text.gguf");
  ASSERT_TRUE(a && b);
  ExpectSameTensors(*a, *b);
}

// What was quantised is written as F32, with the values that it stands for.
TEST_F(ToHf, DequantisesIfAskedTo) {
  ASSERT_TRUE(
      ConvertHfDirectory({kGolden + "nano-ldpv2/hf", Path("q8"), *FindPreset("q8_0"), *FindPreset("q8_0")}));
  const auto report = ConvertToHf({.text = Path("q8/text.gguf"),
                                   .mmproj = Path("q8/mmproj.gguf"),
                                   .out_dir = Path("back"),
                                   .dequantize = true});
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_TRUE(ConvertHfDirectory({Path("back"), Path("again"), DType::kF32, DType::kF32}));
  for (const std::string name : {"/text.gguf", "/mmproj.gguf"}) {
    const auto quantised = GgufFile::Open(Path("q8") + name), again = GgufFile::Open(Path("again") + name);
    ASSERT_TRUE(quantised && again);
    int were_quantised = 0;
    for (const GgufTensor& tensor : quantised->tensors()) {
      const GgufTensor* found = again->FindTensor(tensor.name);
      ASSERT_NE(found, nullptr) << tensor.name;
      were_quantised += tensor.type == DType::kQ8_0;
      EXPECT_EQ(DequantizeTensor(found->type, found->data), DequantizeTensor(tensor.type, tensor.data))
          << tensor.name;
    }
    EXPECT_GT(were_quantised, 5) << name;
  }
}

TEST_F(ToHf, Refusals) {
  ASSERT_TRUE(ConvertHfDirectory({kGolden + "nano-ldpv2/hf", Path("q8"), *FindPreset("q8_0")}));
  EXPECT_THAT(ConvertToHf({Path("q8/text.gguf"), "", Path("out")}).error().message,
              HasSubstr("token_embd.weight is Q8_0: wanted F32, F16 or BF16"));
  EXPECT_THAT(ConvertToHf({kGolden + "nano-ldpv2/text.gguf", kGolden + "nano80-ldp/mmproj.gguf", Path("out")})
                  .error()
                  .message,
              HasSubstr("do not fit"));
  EXPECT_FALSE(std::filesystem::exists(Path("out")));
}

}  // namespace
}  // namespace mobilevlm
