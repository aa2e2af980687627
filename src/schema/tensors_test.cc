#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "schema/keys.h"
#include "schema/read_config.h"
#include "schema/tensors.h"
#include "schema/test_draft.h"

namespace mobilevlm {
namespace {

using ::testing::HasSubstr;

TEST(Tensors, TheTableIsTheGoldenFiles) {
  for (const std::string model : {"nano-ldpv2", "nano80-ldp", "nano-mlp"}) {
    const auto text = GgufFile::Open(kGolden + model + "/text.gguf");
    const auto mmproj = GgufFile::Open(kGolden + model + "/mmproj.gguf");
    ASSERT_TRUE(text && mmproj);
    const auto llm = LlmTensors(*ReadLlmConfig(*text));
    const auto vision = MmprojTensors(*mmproj);
    ASSERT_TRUE(vision) << vision.error().message;
    // Same names, same order, same shapes: nothing missing, nothing left over.
    for (const auto& [file, specs] : {std::pair(&*text, &llm), {&*mmproj, &*vision}}) {
      ASSERT_EQ(file->tensors().size(), specs->size());
      for (size_t i = 0; i < specs->size(); ++i) {
        EXPECT_EQ(file->tensors()[i].name, (*specs)[i].gguf_name);
        EXPECT_EQ(file->tensors()[i].shape, (*specs)[i].shape) << (*specs)[i].gguf_name;
      }
      EXPECT_TRUE(TensorMap::Bind(*file, *specs));
    }
    EXPECT_EQ(DetectFfnNaming(*mmproj, *ReadVisionConfig(*mmproj)).value(), FfnNaming::kLegacySwapped);
    const auto map = TensorMap::Bind(*mmproj, *vision);
    EXPECT_EQ(map->Get(kHfVisionPrefix, "encoder.layers.1.mlp.fc1.weight").name, "v.blk.1.ffn_down.weight");
  }
}

TEST(Tensors, CountsOfTheReleasedModels) {
  VisionConfig vision;
  vision.hidden = 1024;
  vision.intermediate = 4096;
  vision.heads = 16;
  vision.stored_layers = 24;
  vision.used_layers = 23;
  vision.image_size = 336;
  vision.patch_size = 14;
  ProjectorConfig projector{ProjectorType::kLdpV2, 1024, 2048, 24};
  const auto parameters = [](const std::vector<TensorSpec>& specs) {
    uint64_t sum = 0;
    for (const TensorSpec& spec : specs) {
      uint64_t count = 1;
      for (const uint64_t extent : spec.shape) count *= extent;
      sum += count;
    }
    return sum;
  };
  EXPECT_EQ(VisionTensors(vision).size(), 373u);
  EXPECT_EQ(parameters(VisionTensors(vision)), 290909184u);
  EXPECT_EQ(ProjectorTensors(projector).size(), 6u);
  EXPECT_EQ(parameters(ProjectorTensors(projector)), 6316032u);
  projector.type = ProjectorType::kLdp;
  EXPECT_EQ(ProjectorTensors(projector).size(), 24u);
  EXPECT_EQ(parameters(ProjectorTensors(projector)), 18936832u);
  projector.type = ProjectorType::kMlp;
  projector.hidden = 4096;  // LLaVA-1.5 7B
  EXPECT_EQ(ProjectorTensors(projector).size(), 4u);
  EXPECT_EQ(parameters(ProjectorTensors(projector)), 20979712u);
  LlmConfig llm;
  llm.hidden = 2560;
  llm.intermediate = 6912;
  llm.layers = 32;
  llm.heads = llm.kv_heads = 32;
  llm.head_dim = 80;
  llm.vocab = 32000;
  EXPECT_EQ(parameters(LlmTensors(llm)), 2701560320u);
}

TEST(Tensors, FfnNamesAreDecidedByShape) {
  const auto naming = [](std::vector<uint64_t> shape) {
    const GgufFile file = MmprojDraft().Tensor("v.blk.0.ffn_down.weight", std::move(shape)).File();
    return DetectFfnNaming(file, *ReadVisionConfig(file));
  };
  EXPECT_EQ(naming({40, 24}).value(), FfnNaming::kLegacySwapped);
  EXPECT_EQ(naming({24, 40}).value(), FfnNaming::kPlain);
  EXPECT_THAT(naming({24, 24}).error().message, HasSubstr("wanted shape [40, 24] or its transpose"));
  VisionConfig config;
  config.hidden = config.intermediate = config.heads = config.patch_size = config.image_size = 2;
  config.used_layers = 1;
  const auto fc1 = [&](FfnNaming n) {
    for (const TensorSpec& spec : VisionTensors(config, n)) {
      if (spec.hf_name.ends_with("mlp.fc1.weight")) return spec.gguf_name;
    }
    return std::string();
  };
  EXPECT_EQ(fc1(FfnNaming::kLegacySwapped), "v.blk.0.ffn_down.weight");
  EXPECT_EQ(fc1(FfnNaming::kPlain), "v.blk.0.ffn_up.weight");
  // Square: both readings fit, the file counts as a legacy one.
  const GgufFile square = MmprojDraft().Tensor("v.blk.0.ffn_down.weight", {2, 2}).File();
  EXPECT_EQ(DetectFfnNaming(square, config).value(), FfnNaming::kLegacySwapped);
}

TEST(Tensors, LookUpChecksShapeAndType) {
  const GgufFile file = MmprojDraft()
                            .Tensor("m", {4, 32}, DType::kQ8_0)
                            .Tensor("conv", {8, 3, 3}, DType::kF16)
                            .Tensor("half", {4}, DType::kF16)
                            .File();
  const auto error = [&](const std::string& name, std::vector<uint64_t> shape, TensorStorage storage) {
    const auto tensor = FindTensor(file, {name, "", std::move(shape), storage});
    return tensor ? "" : tensor.error().message;
  };
  EXPECT_EQ(error("m", {4, 32}, TensorStorage::kMatrix), "");
  EXPECT_THAT(error("m", {32, 4}, TensorStorage::kMatrix), HasSubstr("wanted shape [32, 4], found [4, 32]"));
  EXPECT_THAT(error("m", {4, 32}, TensorStorage::kHalf),
              HasSubstr("wanted type F16, BF16 or F32, found Q8_0"));
  EXPECT_EQ(error("conv", {8, 1, 3, 3}, TensorStorage::kHalf), "");
  EXPECT_THAT(error("conv", {8, 2, 3, 3}, TensorStorage::kHalf), HasSubstr("found [8, 3, 3]"));
  EXPECT_THAT(error("half", {4}, TensorStorage::kFloat), HasSubstr("wanted type F32, found F16"));
  EXPECT_THAT(error("none", {4}, TensorStorage::kFloat), HasSubstr("tensor none is missing"));
}

TEST(Tensors, ExtentsOfOneDoNotCount) {
  const auto same = [](std::vector<uint64_t> a, std::vector<uint64_t> b) {
    return SameShape(a, b) && SameShape(b, a);
  };
  EXPECT_TRUE(same({40, 160, 1, 1}, {40, 160}));
  EXPECT_TRUE(same({8, 1, 3, 3}, {8, 3, 3}));
  EXPECT_TRUE(same({1}, {}));
  EXPECT_FALSE(same({8, 3}, {8, 3, 3}));
  EXPECT_FALSE(same({3, 8}, {8, 3}));
}

// An extent of 1 in front is no output.
TEST(Tensors, OutputsAreThoseOfTheSpecification) {
  const GgufFile file =
      MmprojDraft().Tensor("m", {1, 4, 32}, DType::kF32).Tensor("one", {1, 32}, DType::kF32).File();
  const std::vector<TensorSpec> specs = {{"m", "matrix", {4, 32}, TensorStorage::kMatrix},
                                         {"one", "row", {1, 32}, TensorStorage::kMatrix}};
  const auto map = TensorMap::Bind(file, specs);
  ASSERT_TRUE(map) << map.error().message;
  EXPECT_EQ(map->Outputs("matrix"), 4u);
  EXPECT_EQ(map->Outputs("row"), 1u);
}

TEST(Keys, KnownAndUnknown) {
  EXPECT_TRUE(IsKnownKey(TextKeys(), "general.anything"));
  EXPECT_TRUE(IsKnownKey(TextKeys(), "llama.rope.freq_base"));
  EXPECT_FALSE(IsKnownKey(TextKeys(), "clip.use_gelu"));
  EXPECT_TRUE(IsKnownKey(MmprojKeys(), "clip.use_gelu"));
  EXPECT_FALSE(IsKnownKey(MmprojKeys(), "clip.minicpmv_version"));
}

}  // namespace
}  // namespace mobilevlm
