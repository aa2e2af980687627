// Where a model's parts come from: official checkpoints of every size, towers of their own, LLaMAs alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/hf_directory.h"
#include "convert/convert.h"
#include "convert/test_support.h"
#include "synth/hf_directory_writer.h"

namespace mobilevlm {
namespace {

using ::testing::HasSubstr;

using SourcesTest = DirectoryTest;

// The official directory of a size with every name and shape, and nothing but holes for data.
void WriteOfficial(const std::string& directory, const ModelSize& size) {
  std::filesystem::create_directories(directory);
  nlohmann::json header;
  uint64_t offset = 0;
  for (const TensorSpec& spec : OfficialTensors(size)) {
    const uint64_t bytes = DenseBytes(DType::kBF16, spec.shape).value();
    header[spec.hf_name] = {
        {"dtype", "BF16"}, {"shape", spec.shape}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  const std::string text = header.dump();
  const uint64_t length = text.size();
  const std::string path = directory + "/model.safetensors";
  ASSERT_TRUE(WriteFileAtomically(path, std::string(reinterpret_cast<const char*>(&length), 8) + text));
  std::filesystem::resize_file(path, 8 + length + offset);
  ASSERT_TRUE(WriteFileAtomically(directory + "/config.json", OfficialConfig(size, DType::kBF16)));
  ASSERT_TRUE(WriteFileAtomically(directory + "/tokenizer.model", "not looked into"));
}

TEST_F(SourcesTest, OfficialDirectoriesDoNotDescribeTheirTower) {
  for (const std::string name : {"1.7b", "3b", "7b"}) {
    SCOPED_TRACE(name);
    ModelSize size = FindModelSize(name).value();
    for (const ProjectorType projector : {ProjectorType::kLdpV2, ProjectorType::kLdp}) {
      size.projector_type = projector;
      WriteOfficial(Path(name), size);
      const auto hf = HfDirectory::Open(Path(name));
      ASSERT_TRUE(hf) << hf.error().message;
      EXPECT_EQ(ReadFile(Path(name) + "/config.json", 1 << 20)->find("vision_config"), std::string::npos);
      const VisionConfig& vision = hf->config.vision;
      EXPECT_EQ(vision.hidden, 1024);
      EXPECT_EQ(vision.heads, 16);
      EXPECT_EQ(vision.stored_layers, 24);
      EXPECT_EQ(vision.used_layers, 23);
      EXPECT_EQ(vision.patches(), 576);
      EXPECT_EQ(vision.activation, VisionActivation::kQuickGelu);
      EXPECT_EQ(hf->config.llm.head_dim, name == "3b" ? 80 : 128);
      EXPECT_EQ(hf->config.llm.rms_eps, name == "7b" ? 1e-5f : 1e-6f);
      EXPECT_EQ(hf->config.llm.context, name == "7b" ? 4096 : 2048);
      std::vector<TensorSpec> specs = LlmTensors(hf->config.llm);
      for (TensorSpec& spec : VisionTensors(vision)) specs.push_back(std::move(spec));
      for (TensorSpec& spec : ProjectorTensors(hf->config.projector)) specs.push_back(std::move(spec));
      for (const TensorSpec& spec : specs) {
        const auto tensor = hf->Require(spec);
        EXPECT_TRUE(tensor) << tensor.error().message;
      }
    }
  }
}

TEST_F(SourcesTest, OtherTowersMustBeDescribed) {
  const ModelSize size = FindModelSize("1.7b").value();
  WriteOfficial(Path("hf"), size);
  const auto error = [&] {
    const auto hf = HfDirectory::Open(Path("hf"));
    return hf ? "" : hf.error().message;
  };
  EXPECT_EQ(error(), "");
  EditConfig(Path("hf"), "clip-vit-large-patch14-336", "clip-vit-large-patch14");
  EXPECT_THAT(error(), HasSubstr("does not have the shapes of these tensors"));
  EditConfig(Path("hf"), "clip-vit-large-patch14", "siglip-so400m");
  EXPECT_THAT(error(), HasSubstr("vision_config is missing (hidden_size, intermediate_size, "
                                 "num_attention_heads, num_hidden_layers, image_size, patch_size)"));
  EXPECT_THAT(error(), HasSubstr("\"openai/siglip-so400m\" is no CLIP tower"));
  WriteDirectory(Path("nano"), "nano-ldpv2", ReadTensors(kGolden + "nano-ldpv2/hf"), DType::kF16);
  EditConfig(Path("nano"), "vision_config", "other");
  const auto nano = HfDirectory::Open(Path("nano"));
  ASSERT_FALSE(nano);
  EXPECT_THAT(nano.error().message, HasSubstr("does not have the shapes"));
}

// V1 takes its tower from openai/clip, whatever its own checkpoint holds.
TEST_F(SourcesTest, TowerFromAClipDirectory) {
  const TestTensors all = ReadTensors(kGolden + "nano80-ldp/hf");
  TestTensors model, clip;
  for (const auto& [name, tensor] : all) {
    if (name.starts_with(kHfVisionPrefix)) {
      clip["vision_model." + name.substr(kHfVisionPrefix.size())] = tensor;
      model[name] = {tensor.shape, std::vector<float>(tensor.values.size(), 0.25f)};
    } else {
      model[name] = tensor;
    }
  }
  clip["logit_scale"] = {{}, {4.6f}};  // of the half that nobody needs
  WriteDirectory(Path("v1"), "nano80-ldp", model, DType::kF16, "bin");
  EditConfig(Path("v1"), "vision_config", "other");
  std::filesystem::create_directories(Path("clip"));
  WriteWeights(Path("clip/pytorch_model.bin"), clip, DType::kF16);
  ASSERT_TRUE(WriteFileAtomically(
      Path("clip/config.json"),
      R"({"model_type": "clip", "vision_config": {"hidden_size": 64, "num_hidden_layers": 3,
          "num_attention_heads": 2, "intermediate_size": 128, "image_size": 336, "patch_size": 14}})"));
  ConvertOptions options{Path("v1"), Path("out")};
  EXPECT_FALSE(ConvertHfDirectory(options));
  options.vision = Path("clip");
  const auto written = ConvertHfDirectory(options);
  ASSERT_TRUE(written) << written.error().message;
  ASSERT_TRUE(ConvertHfDirectory({kGolden + "nano80-ldp/hf", Path("wanted")}));
  ExpectSameFile(Path("out/mmproj.gguf"), Path("wanted/mmproj.gguf"));
  ExpectSameFile(Path("out/text.gguf"), Path("wanted/text.gguf"));
}

TEST_F(SourcesTest, ATowerThatIsNowhere) {
  TestTensors model = ReadTensors(kGolden + "nano80-ldp/hf");
  std::erase_if(model, [](const auto& item) { return item.first.starts_with(kHfVisionPrefix); });
  WriteDirectory(Path("hf"), "nano80-ldp", model, DType::kF16);
  const auto written = ConvertHfDirectory({Path("hf"), Path("out")});
  ASSERT_FALSE(written);
  EXPECT_THAT(written.error().message,
              HasSubstr("class_embedding is missing; if the tower is in a directory"));
  EXPECT_THAT(written.error().message, HasSubstr("--vision"));
  EditConfig(Path("hf"), "vision_config", "other");  // as LLaVA's own directories: not even described
  EXPECT_THAT(ConvertHfDirectory({Path("hf"), Path("out")}).error().message,
              HasSubstr("clip-vit-large-patch14-336\" is not among these tensors: name the directory"));
}

TEST_F(SourcesTest, ALlamaAlone) {
  TestTensors model = ReadTensors(kGolden + "nano-ldpv2/hf");
  std::erase_if(model, [](const auto& item) {
    return item.first.starts_with(kHfVisionPrefix) || item.first.starts_with(kHfProjectorPrefix);
  });
  model["model.layers.0.self_attn.rotary_emb.inv_freq"] = {{16}, std::vector<float>(16, 1e30f)};  // ignored
  WriteDirectory(Path("hf"), "nano-ldpv2", model, DType::kF32, "bin", 2);
  EditConfig(Path("hf"), "\"model_type\": \"mobilevlm\"", "\"model_type\": \"llama\"");
  const auto written = ConvertHfDirectory({Path("hf"), Path("out")});
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_EQ(*written, std::vector{Path("out/text.gguf")});
  const auto found = GgufFile::Open(Path("out/text.gguf"));
  const auto wanted = GgufFile::Open(kGolden + "nano-ldpv2/text.gguf");
  ASSERT_TRUE(found && wanted);
  ExpectSameTensors(*found, *wanted);
}

// LLaVA's own names of itself.
TEST_F(SourcesTest, Llava) {
  for (const std::string type : {"llava", "llava_llama"}) {
    WriteDirectory(Path(type), "nano-mlp", ReadTensors(kGolden + "nano-mlp/hf"), DType::kF16, "bin", 2);
    EditConfig(Path(type), "\"model_type\": \"mobilevlm\"", "\"model_type\": \"" + type + "\"");
    const auto written = ConvertHfDirectory({Path(type), Path("out")});
    ASSERT_TRUE(written) << written.error().message;
    const auto found = GgufFile::Open(Path("out/mmproj.gguf"));
    const auto wanted = GgufFile::Open(kGolden + "nano-mlp/mmproj.gguf");
    ASSERT_TRUE(found && wanted);
    ExpectSameTensors(*found, *wanted);
  }
}

}  // namespace
}  // namespace mobilevlm
