#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/read_file.h"
#include "schema/read_config.h"
#include "schema/test_draft.h"

namespace mobilevlm {
namespace {

using ::testing::HasSubstr;

std::string LlmError(const Draft& draft) {
  const auto config = ReadLlmConfig(draft.File());
  return config ? "" : config.error().message;
}

// The first error of the three readers.
std::string MmprojError(const Draft& draft) {
  const GgufFile file = draft.File();
  if (const auto config = ReadProjectorConfig(file); !config) return config.error().message;
  const auto image = ReadImageConfig(file);
  return image ? "" : image.error().message;
}

TEST(Config, GoldenFilesAndTheirHfDirectoriesAgree) {
  for (const std::string model : {"nano-ldpv2", "nano80-ldp", "nano-mlp"}) {
    const auto text = GgufFile::Open(kGolden + model + "/text.gguf");
    const auto mmproj = GgufFile::Open(kGolden + model + "/mmproj.gguf");
    ASSERT_TRUE(text && mmproj);
    const auto llm = ReadLlmConfig(*text);
    const auto vision = ReadVisionConfig(*mmproj);
    const auto projector = ReadProjectorConfig(*mmproj);
    const auto image = ReadImageConfig(*mmproj);
    ASSERT_TRUE(llm && vision && projector && image);
    const bool v1 = model == "nano80-ldp";
    EXPECT_EQ(llm->hidden, v1 ? 160 : 64);
    EXPECT_EQ(llm->head_dim, v1 ? 80 : 32);
    EXPECT_EQ(llm->intermediate, v1 ? 416 : 192);
    EXPECT_EQ(llm->vocab, 768);
    EXPECT_EQ(llm->rms_eps, 1e-6f);
    EXPECT_EQ(vision->used_layers, 2);
    EXPECT_EQ(vision->grid(), 24);
    EXPECT_EQ(vision->activation, VisionActivation::kQuickGelu);
    const bool mlp = model == "nano-mlp";
    EXPECT_EQ(projector->type, v1 ? ProjectorType::kLdp : mlp ? ProjectorType::kMlp : ProjectorType::kLdpV2);
    EXPECT_EQ(projector->tokens(), mlp ? 576 : 144);
    EXPECT_TRUE(CheckFit(*llm, *projector));

    const std::string path = kGolden + model + "/hf/config.json";
    const auto hf = ParseHfConfig(ReadFile(path, 1 << 20).value(), path);
    ASSERT_TRUE(hf) << hf.error().message;
    EXPECT_EQ(hf->llm.hidden, llm->hidden);
    EXPECT_EQ(hf->llm.layers, llm->layers);
    EXPECT_EQ(hf->llm.kv_heads, llm->kv_heads);
    EXPECT_EQ(hf->llm.rope_base, llm->rope_base);
    EXPECT_EQ(hf->llm.rms_eps, llm->rms_eps);
    EXPECT_EQ(hf->vision.stored_layers, 3);  // the directory has the block that the GGUF dropped
    EXPECT_EQ(hf->vision.used_layers, vision->used_layers);
    EXPECT_EQ(hf->projector.type, projector->type);
    EXPECT_EQ(hf->projector.hidden, projector->hidden);
    EXPECT_EQ(hf->image.mean, image->mean);
    EXPECT_EQ(hf->image.std, image->std);
  }
}

TEST(Config, DefaultsOfOptionalKeys) {
  const auto config = ReadLlmConfig(TextDraft().File());
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->kv_heads, 4);
  EXPECT_EQ(config->head_dim, 12);
  EXPECT_EQ(config->rope_base, 10000.0f);
  EXPECT_EQ(config->vocab, 3);
  EXPECT_EQ(ReadLlmConfig(TextDraft().U32("llama.vocab_size", 8).File())->vocab, 8);
  EXPECT_EQ(ReadLlmConfig(TextDraft().F32("llama.rope.freq_base", 500000).File())->rope_base, 500000.0f);
  EXPECT_EQ(ReadLlmConfig(TextDraft().Text("llama.rope.scaling.type", "none").File())->layers, 2);
}

TEST(Config, RequiredKeysOfTheText) {
  for (const std::string key :
       {"general.architecture", "llama.context_length", "llama.embedding_length", "llama.block_count",
        "llama.feed_forward_length", "llama.attention.head_count", "llama.attention.layer_norm_rms_epsilon",
        "tokenizer.ggml.tokens"}) {
    EXPECT_THAT(LlmError(TextDraft().Without(key)), HasSubstr(key));
  }
}

TEST(Config, AbsurdTexts) {
  EXPECT_THAT(LlmError(TextDraft().Text("general.architecture", "qwen2")),
              HasSubstr("wanted \"llama\" (a text model), found \"qwen2\""));
  EXPECT_THAT(LlmError(TextDraft().U32("llama.embedding_length", 0)),
              HasSubstr("wanted 1 to 65536, found 0"));
  EXPECT_THAT(LlmError(TextDraft().U32("llama.embedding_length", 65540)), HasSubstr("found 65540"));
  EXPECT_THAT(LlmError(TextDraft().U32("llama.block_count", 4000000000u)), HasSubstr("llama.block_count"));
  EXPECT_THAT(LlmError(TextDraft().U32("llama.attention.head_count", 5)),
              HasSubstr("not divisible by 5 heads"));
  EXPECT_THAT(LlmError(TextDraft().U32("llama.attention.head_count", 16)),
              HasSubstr("even head size, found 3"));
  EXPECT_THAT(LlmError(TextDraft().U32("llama.attention.head_count_kv", 3)), HasSubstr("3 key-value heads"));
  EXPECT_THAT(LlmError(TextDraft().U32("llama.rope.dimension_count", 6)), HasSubstr("head size 12, found 6"));
  EXPECT_THAT(LlmError(TextDraft().U32("llama.attention.key_length", 16)),
              HasSubstr("head size 12, found 16"));
  EXPECT_THAT(LlmError(TextDraft().Text("llama.rope.scaling.type", "yarn")), HasSubstr("found \"yarn\""));
  EXPECT_THAT(LlmError(TextDraft().F32("llama.rope.scale_linear", 4)), HasSubstr("scale_linear"));
  EXPECT_THAT(LlmError(TextDraft().U32("llama.expert_count", 8)), HasSubstr("expert_count"));
  EXPECT_THAT(LlmError(TextDraft().F32("llama.attention.layer_norm_rms_epsilon", NAN)),
              HasSubstr("found nan"));
  EXPECT_THAT(LlmError(TextDraft().F32("llama.rope.freq_base", -1)), HasSubstr("found -1"));
  EXPECT_THAT(LlmError(TextDraft().U32("llama.vocab_size", 2)), HasSubstr("but the tokenizer has 3 pieces"));
  EXPECT_THAT(LlmError(TextDraft().Text("llama.block_count", "two")), HasSubstr("wanted an integer"));
}

TEST(Config, WhichVisionBlocksRun) {
  const auto used = [](const Draft& draft) { return ReadVisionConfig(draft.File())->used_layers; };
  EXPECT_EQ(used(MmprojDraft()), 3);
  EXPECT_EQ(used(MmprojDraft().Tensor("v.post_ln.weight", {24})), 2);
  EXPECT_EQ(used(MmprojDraft().Ints("clip.vision.feature_layer", {1})), 1);
  EXPECT_EQ(used(MmprojDraft().Ints("clip.vision.feature_layer", {3}).Tensor("v.post_ln.bias", {24})), 3);
  for (const auto& wrong : std::vector<std::vector<int32_t>>{{}, {1, 2}, {0}, {4}, {-2}}) {
    EXPECT_THAT(MmprojError(MmprojDraft().Ints("clip.vision.feature_layer", wrong)),
                HasSubstr("feature_layer"));
  }
  EXPECT_THAT(MmprojError(MmprojDraft().U32("clip.vision.block_count", 1).Tensor("v.post_ln.weight", {24})),
              HasSubstr("0 of 1 stored blocks"));
}

TEST(Config, AbsurdMmprojs) {
  EXPECT_EQ(MmprojError(MmprojDraft()), "");
  for (const std::string key :
       {"general.architecture", "clip.projector_type", "clip.vision.image_size", "clip.vision.patch_size",
        "clip.vision.embedding_length", "clip.vision.feed_forward_length", "clip.vision.attention.head_count",
        "clip.vision.attention.layer_norm_epsilon", "clip.vision.block_count", "clip.vision.image_mean",
        "clip.vision.image_std"}) {
    EXPECT_THAT(MmprojError(MmprojDraft().Without(key)), HasSubstr(key));
  }
  EXPECT_THAT(MmprojError(TextDraft()), HasSubstr("wanted \"clip\" (an mmproj), found \"llama\""));
  EXPECT_THAT(MmprojError(MmprojDraft().Text("clip.projector_type", "resampler")),
              HasSubstr("\"mlp\", found \"resampler\""));
  EXPECT_THAT(MmprojError(MmprojDraft().U32("clip.vision.image_size", 24)),
              HasSubstr("ldpv2 halves the grid of patches, but its side of 3 is odd"));
  EXPECT_THAT(MmprojError(MmprojDraft().U32("clip.vision.image_size", 36)), HasSubstr("not a multiple"));
  EXPECT_THAT(MmprojError(MmprojDraft().U32("clip.vision.image_size", 8192)),
              HasSubstr("1024 patches a side"));
  EXPECT_THAT(MmprojError(MmprojDraft().U32("clip.vision.attention.head_count", 5)), HasSubstr("by 5 heads"));
  EXPECT_THAT(MmprojError(MmprojDraft().Bool("clip.has_vision_encoder", false)), HasSubstr("found false"));
  EXPECT_THAT(MmprojError(MmprojDraft().Bool("clip.use_gelu", true).Bool("clip.use_silu", true)),
              HasSubstr("both true"));
  EXPECT_THAT(MmprojError(MmprojDraft().Floats("clip.vision.image_std", {1, 0, 1})), HasSubstr("found 0"));
  EXPECT_THAT(MmprojError(MmprojDraft().Floats("clip.vision.image_mean", {0.5f})), HasSubstr("found 1"));
  Draft without = MmprojDraft();
  without.tensors.clear();
  without.Tensor("other", {1});
  EXPECT_THAT(MmprojError(without), HasSubstr("tensor mm.model.peg.0.bias is missing"));
  EXPECT_THAT(MmprojError(MmprojDraft().Tensor("mm.model.peg.0.bias", {3, 4})), HasSubstr("found [3, 4]"));
}

// Nothing is halved: any grid will do, and every patch is a token.
TEST(Config, TheMlpTakesAnyGrid) {
  Draft draft = MmprojDraft().Text("clip.projector_type", "mlp").U32("clip.vision.image_size", 24);
  EXPECT_THAT(MmprojError(draft), HasSubstr("tensor mm.2.bias is missing"));
  draft.Tensor("mm.2.bias", {96});
  EXPECT_EQ(MmprojError(draft), "");
  const auto config = ReadProjectorConfig(draft.File());
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->tokens(), 9);
  EXPECT_EQ(config->hidden, 96);
}

TEST(Config, TextAndMmprojMustFit) {
  LlmConfig llm;
  llm.hidden = 64;
  ProjectorConfig projector;
  projector.hidden = 160;
  EXPECT_EQ(CheckFit(llm, projector).error().message,
            "text and mmproj do not fit: the projector's output has 160 numbers, the text model wants 64");
}

// The squeeze widths of the released models and of the fixture.
TEST(Config, SqueezeWidth) {
  for (const auto& [hidden, wanted] :
       {std::pair(2048, 512), {2560, 640}, {4096, 1024}, {160, 40}, {16, 8}, {72, 24}, {144, 40}}) {
    ProjectorConfig config;
    config.hidden = hidden;
    EXPECT_EQ(config.squeeze(), wanted) << hidden;
  }
}

TEST(HfConfig, Refusals) {
  const std::string good = ReadFile(kGolden + "nano-ldpv2/hf/config.json", 1 << 20).value();
  const auto error = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    const auto config = ParseHfConfig(text, "c");
    return config ? "" : config.error().message;
  };
  EXPECT_EQ(error("\"mm_vision_select_layer\": -2", "\"mm_vision_select_layer\": -1"), "");
  EXPECT_THAT(error("\"mm_vision_select_layer\": -2", "\"mm_vision_select_layer\": -4"),
              HasSubstr("0 of 3 stored blocks"));
  EXPECT_THAT(error("\"mm_vision_select_layer\": -2", "\"mm_vision_select_layer\": 2"), HasSubstr("found 2"));
  EXPECT_THAT(error("\"rope_scaling\": null", "\"rope_scaling\": {\"type\":\"linear\"}"),
              HasSubstr("rope_scaling: wanted null"));
  EXPECT_THAT(error("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true"),
              HasSubstr("tie_word"));
  EXPECT_THAT(error("ldpnetv2", "mlp3x_gelu"), HasSubstr("\"mlp2x_gelu\", found \"mlp3x_gelu\""));
  EXPECT_THAT(error("\"image_size\": 336", "\"image_size\": 322"), HasSubstr("its side of 23 is odd"));
  EXPECT_THAT(error("\"silu\"", "\"gelu\""), HasSubstr("hidden_act: wanted \"silu\""));
  EXPECT_THAT(error("\"patch\"", "\"cls_patch\""), HasSubstr("mm_vision_select_feature"));
  EXPECT_THAT(error("\"mm_hidden_size\": 64", "\"mm_hidden_size\": 32"), HasSubstr("mm_hidden_size is 32"));
  EXPECT_THAT(error("\"hidden_size\": 64", "\"hidden_size\": 18446744073709551615"), HasSubstr("found 1844"));
  EXPECT_THAT(error("\"hidden_size\": 64", "\"hidden_size\": \"64\""), HasSubstr("wanted an integer"));
  EXPECT_THAT(error("\"vision_config\"", "\"other\""), HasSubstr("key vision_config is missing"));
  EXPECT_THAT(error("\"quick_gelu\"", "\"relu\""), HasSubstr("c: vision_config: hidden_act"));
  EXPECT_THAT(error("{", "["), HasSubstr("not a JSON object"));
}

}  // namespace
}  // namespace mobilevlm
