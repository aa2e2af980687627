#include "quantize/policy.h"

#include <gtest/gtest.h>

#include <map>

namespace mobilevlm {
namespace {

LlmConfig SmallLlm(int layers) {
  LlmConfig config;
  config.hidden = 2048;
  config.intermediate = 5632;
  config.layers = layers;
  config.heads = config.kv_heads = 16;
  config.head_dim = 128;
  config.vocab = 32000;
  return config;
}

// How many matrices of each kind get which type: "attn_v Q6_K" -> 12.
std::map<std::string, int> Count(std::string_view preset, int layers, const PolicyContext& context = {}) {
  std::map<std::string, int> counts;
  for (const TensorSpec& spec : LlmTensors(SmallLlm(layers))) {
    if (spec.storage != TensorStorage::kMatrix) continue;
    std::string kind = spec.gguf_name.substr(0, spec.gguf_name.rfind('.'));
    kind = kind.substr(kind.rfind('.') + 1);
    const DType type = PresetType(*FindPreset(preset), PlaceOf(spec, layers), context);
    ++counts[kind + " " + std::string(DTypeName(type))];
  }
  return counts;
}

// What llama-quantize makes of a LLaMA with 24 layers, as the 1.7B has.
TEST(Policy, Q4_K_M) {
  const std::map<std::string, int> wanted{
      {"token_embd Q4_K", 1}, {"output Q6_K", 1},    {"attn_q Q4_K", 24},      {"attn_k Q4_K", 24},
      {"attn_v Q6_K", 12},    {"attn_v Q4_K", 12},   {"attn_output Q4_K", 24}, {"ffn_gate Q4_K", 24},
      {"ffn_up Q4_K", 24},    {"ffn_down Q6_K", 12}, {"ffn_down Q4_K", 12}};
  EXPECT_EQ(Count("q4_k_m", 24), wanted);
}

TEST(Policy, OtherPresets) {
  auto counts = Count("q4_k_s", 24);
  EXPECT_EQ(counts["attn_v Q5_K"], 4);
  EXPECT_EQ(counts["ffn_down Q5_K"], 3);
  EXPECT_EQ(counts["output Q6_K"], 1);
  counts = Count("q5_k_m", 32);
  EXPECT_EQ(counts["attn_v Q6_K"], 16);
  EXPECT_EQ(counts["ffn_down Q5_K"], 16);
  counts = Count("q3_k_m", 32);
  EXPECT_EQ(counts["attn_v Q5_K"], 2);
  EXPECT_EQ(counts["attn_v Q4_K"], 30);
  EXPECT_EQ(counts["ffn_down Q5_K"], 2);
  EXPECT_EQ(counts["attn_output Q4_K"], 32);
  EXPECT_EQ(counts["ffn_up Q3_K"], 32);
  counts = Count("q2_k", 32);
  EXPECT_EQ(counts["attn_v Q3_K"], 32);
  EXPECT_EQ(counts["attn_output Q3_K"], 32);
  EXPECT_EQ(counts["ffn_down Q3_K"], 32);
  EXPECT_EQ(counts["attn_q Q2_K"], 32);
  EXPECT_EQ(counts["token_embd Q2_K"], 1);
  EXPECT_EQ(Count("q2_k", 32, {.heads_per_kv_head = 4})["attn_v Q4_K"], 32);
  counts = Count("q4_0", 24);
  EXPECT_EQ(counts["ffn_down Q4_0"], 24);
  EXPECT_EQ(counts["output Q6_K"], 1);
  EXPECT_EQ(Count("q4_0", 24, {.has_importance = true})["ffn_down Q4_1"], 3);
  counts = Count("q8_0", 24);
  EXPECT_EQ(counts["output Q8_0"], 1);
  EXPECT_EQ(Count("q6_k", 24)["output Q6_K"], 1);
}

TEST(Policy, TheVisionTowersWayDownIsFc2WhateverItsName) {
  VisionConfig config;
  config.hidden = 1024;
  config.intermediate = 4096;
  config.heads = 16;
  config.stored_layers = config.used_layers = 23;
  config.image_size = 336;
  config.patch_size = 14;
  for (const FfnNaming naming : {FfnNaming::kLegacySwapped, FfnNaming::kPlain}) {
    int down = 0;
    for (const TensorSpec& spec : VisionTensors(config, naming)) {
      if (PlaceOf(spec, 23).role != Role::kFfnDown) continue;
      ++down;
      EXPECT_EQ(spec.shape, (std::vector<uint64_t>{1024, 4096})) << spec.gguf_name;
    }
    EXPECT_EQ(down, 23);
  }
}

TEST(Policy, Fallbacks) {
  EXPECT_EQ(FallbackType(DType::kQ4_K, 512), DType::kQ4_K);
  EXPECT_EQ(FallbackType(DType::kQ2_K, 96), DType::kQ4_0);
  EXPECT_EQ(FallbackType(DType::kQ3_K, 96), DType::kQ4_0);
  EXPECT_EQ(FallbackType(DType::kQ4_K, 96), DType::kQ5_0);
  EXPECT_EQ(FallbackType(DType::kQ5_K, 96), DType::kQ5_1);
  EXPECT_EQ(FallbackType(DType::kQ6_K, 96), DType::kQ8_0);
  EXPECT_EQ(FallbackType(DType::kQ6_K, 40), DType::kF16);
  EXPECT_EQ(FallbackType(DType::kQ4_0, 40), DType::kF16);
  EXPECT_EQ(FallbackType(DType::kF16, 3), DType::kF16);
  EXPECT_EQ(FindPreset("q9"), nullptr);
}

}  // namespace
}  // namespace mobilevlm
