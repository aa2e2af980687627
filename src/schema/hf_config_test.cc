// config.json written and read, and the towers that it only names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/read_file.h"
#include "schema/clip_towers.h"
#include "schema/read_config.h"
#include "schema/write_hf_config.h"

namespace mobilevlm {
namespace {

using ::testing::HasSubstr;

std::string Golden(const std::string& model) {
  return ReadFile(MOBILEVLM_SOURCE_DIR "/tests/golden/" + model + "/hf/config.json", 1 << 20).value();
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(HfConfigJson, WhatIsWrittenIsRead) {
  for (const std::string model : {"nano-ldpv2", "nano80-ldp", "nano-mlp"}) {
    HfConfig wanted = ParseHfConfig(Golden(model), "c").value();
    wanted.llm.rms_eps = 1e-5f;
    wanted.llm.kv_heads = 1;
    wanted.llm.context = 4096;
    wanted.llm.rope_base = 500000;
    wanted.bos = 5;
    wanted.eos = 7;
    wanted.vision.activation = VisionActivation::kGelu;
    const auto found = ParseHfConfig(HfConfigJson(wanted, DType::kBF16), "w");
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->llm.hidden, wanted.llm.hidden);
    EXPECT_EQ(found->llm.intermediate, wanted.llm.intermediate);
    EXPECT_EQ(found->llm.layers, wanted.llm.layers);
    EXPECT_EQ(found->llm.kv_heads, 1);
    EXPECT_EQ(found->llm.context, 4096);
    EXPECT_EQ(found->llm.rope_base, 500000);
    EXPECT_EQ(found->llm.rms_eps, 1e-5f);
    EXPECT_EQ(found->bos, 5);
    EXPECT_EQ(found->eos, 7);
    EXPECT_EQ(found->vision.stored_layers, wanted.vision.stored_layers);
    EXPECT_EQ(found->vision.used_layers, wanted.vision.used_layers);
    EXPECT_EQ(found->vision.activation, VisionActivation::kGelu);
    EXPECT_EQ(found->vision.layer_norm_eps, wanted.vision.layer_norm_eps);
    EXPECT_EQ(found->projector.type, wanted.projector.type);
    EXPECT_THAT(HfConfigJson(wanted, DType::kBF16), HasSubstr("\"torch_dtype\": \"bfloat16\""));
  }
}

TEST(HfConfigJson, TextOnly) {
  HfConfig config = ParseHfConfig(Golden("nano-ldpv2"), "c").value();
  config.multimodal = false;
  const std::string json = HfConfigJson(config, DType::kF16);
  EXPECT_THAT(json, Not(HasSubstr("mm_")));
  const auto found = ParseHfConfig(json, "w");
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_FALSE(found->multimodal);
  EXPECT_EQ(found->llm.hidden, 64);
}

// The 3B's config.json has what lit-gpt left in it, some of it wrong.
TEST(HfConfigRead, LeftoversMeanNothing) {
  const std::string text = Replaced(Golden("nano-ldpv2"), "{",
                                    R"({"n_head": 16, "n_query_groups": 16, "n_embd": 2560, "n_layer": 99,
        "norm_eps": 0.5, "padded_vocab_size": 1, "block_size": 1, "rotary_percentage": 0.25,)");
  const auto config = ParseHfConfig(text, "c");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->llm.heads, 2);
  EXPECT_EQ(config->llm.hidden, 64);
  EXPECT_EQ(config->llm.layers, 2);
  EXPECT_EQ(config->llm.rms_eps, 1e-6f);
  EXPECT_EQ(config->llm.context, 2048);
}

TEST(HfConfigRead, Architectures) {
  const auto with_type = [&](const std::string& type) {
    return ParseHfConfig(Replaced(Golden("nano-ldpv2"), "\"mobilevlm\"", "\"" + type + "\""), "c");
  };
  for (const std::string type : {"mobilevlm", "llava", "llava_llama"})
    EXPECT_TRUE(with_type(type)->multimodal);
  EXPECT_FALSE(with_type("llama")->multimodal);
  EXPECT_THAT(with_type("qwen2_vl").error().message, HasSubstr("c: model_type: wanted \"mobilevlm\""));
}

TEST(HfConfigRead, TheTowerOfAnotherDirectoryGoesFirst) {
  VisionConfig tower = ParseHfConfig(Golden("nano-ldpv2"), "c")->vision;
  tower.stored_layers = tower.used_layers = 9;
  const auto config = ParseHfConfig(Golden("nano-ldpv2"), "c", {.shape = {}, .config = tower});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->vision.stored_layers, 9);
  EXPECT_EQ(config->vision.used_layers, 8);  // mm_vision_select_layer is the model's
}

TEST(ClipConfig, BothKinds) {
  const std::string sizes = R"("hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2,
    "intermediate_size": 128, "image_size": 336, "patch_size": 14)";
  const std::string whole = R"({"model_type": "clip", "text_config": {"hidden_size": 9}, "vision_config": {)";
  for (const std::string& text :
       {whole + sizes + "}}", R"({"model_type": "clip_vision_model", )" + sizes + "}"}) {
    const auto vision = ParseClipConfig(text, "c");
    ASSERT_TRUE(vision) << vision.error().message;
    EXPECT_EQ(vision->hidden, 64);
    EXPECT_EQ(vision->stored_layers, 3);
    EXPECT_EQ(vision->layer_norm_eps, 1e-5f);
    EXPECT_EQ(vision->activation, VisionActivation::kQuickGelu);
  }
  EXPECT_THAT(ParseClipConfig(R"({"model_type": "siglip"})", "c").error().message,
              HasSubstr("found \"siglip\""));
  EXPECT_THAT(ParseClipConfig(R"({"model_type": "clip"})", "c").error().message,
              HasSubstr("key vision_config is missing"));
}

TEST(ClipTowers, ByNameAndShape) {
  const ClipTower* tower = FindClipTower("openai/clip-vit-large-patch14-336");
  ASSERT_NE(tower, nullptr);
  EXPECT_EQ(FindClipTower("/models/clip-vit-large-patch14-336/"), tower);
  EXPECT_EQ(FindClipTower("clip-vit-large-patch14-336"), tower);
  EXPECT_NE(FindClipTower("openai/clip-vit-large-patch14"), tower);
  EXPECT_EQ(FindClipTower("openai/clip-vit-base-patch32"), nullptr);
  EXPECT_EQ(FindClipTower(""), nullptr);
  const TowerShape official{
      .hidden = 1024, .intermediate = 4096, .patch_size = 14, .positions = 577, .layers = 24};
  EXPECT_TRUE(tower->Fits(official));
  TowerShape other = official;
  other.layers = 23;
  EXPECT_FALSE(tower->Fits(other));
  other = official;
  other.positions = 257;
  EXPECT_FALSE(tower->Fits(other));
}

}  // namespace
}  // namespace mobilevlm
