// LoRA: what an adapter adds, what it is saved as, its dropout; and segments that are computed again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <tuple>

#include "base/check.h"
#include "base/read_file.h"
#include "checkpoint/hf_directory.h"
#include "train/adapter.h"
#include "train/checkpoint.h"
#include "train/modules/projection.h"
#include "train/optim.h"
#include "train/parallel/data_parallel.h"
#include "train/start_model.h"
#include "train/test_finetuning.h"
#include "train/test_nano.h"
#include "train/test_support.h"

namespace mobilevlm::train {
namespace {

TEST(Lora, AFreshAdapterChangesNothingAndATrainedOneMergesToTheSame) {
  const Recipe recipe = NanoRecipe("lora", {"lora.rank=4", "lora.alpha=8", "model.frozen_weights=float32"});
  const StartModel base = LoadStart(NanoRecipe("multitask")), tuned = LoadStart(recipe);
  const MicroBatch batch = NanoBatch(*base.model, 5);
  const auto logits = [&](const StartModel& start) {
    const torch::NoGradGuard no_gradients;
    MobileVlm model = start.model;
    return model->Logits(model->Hidden(batch.text, model->Visual(batch)));
  };
  EXPECT_LT(Difference(logits(base), logits(tuned)), 1e-5);

  MobileVlm model = tuned.model;
  Optimizer optimizer(MakeGroups(*model, Recipe::Optimizer{.learning_rate = 1e-2}));
  DataParallel parallel(1, false);
  for (int step = 0; step < 3; ++step) {
    parallel.Step(optimizer.gradients(), 1, [&](size_t) { return model->Loss(batch); });
    optimizer.Step(1.0, 0.0);
  }
  const TemporaryDirectory directory;
  ASSERT_TRUE(WriteTensors(directory.path() + "/" + kAdapterFile, TrainedTensors(*model, kAdapterPrefix))
                  .has_value());
  ASSERT_TRUE(WriteAdapterConfig(directory.path(), recipe).has_value());

  // Merged by the reader that `convert --base` uses.
  const auto merged = HfDirectory::Open(HfSources{.directory = directory.path(), .base = kNanoModel});
  ASSERT_TRUE(merged.has_value()) << merged.error().message;
  const torch::NoGradGuard no_gradients;
  MobileVlm plain = base.model;
  auto parameters = plain->named_parameters();
  int pairs = 0;
  for (const auto& specs : {LlmTensors(merged->config.llm), ProjectorTensors(merged->config.projector)}) {
    for (const TensorSpec& spec : specs) {
      const auto source = merged->Require(spec);
      ASSERT_TRUE(source.has_value()) << source.error().message;
      torch::Tensor& parameter = parameters[spec.hf_name];
      const auto count = static_cast<size_t>(parameter.numel());
      ReadElements(*source->stored, 0, count, parameter.data_ptr<float>());
      if (source->pair == nullptr) continue;
      const LoraDelta delta(*source->pair);
      const auto columns = static_cast<size_t>(parameter.size(1));
      for (size_t at = 0; at < count; at += columns)
        delta.AddTo(at, columns, parameter.data_ptr<float>() + at);
      ++pairs;
    }
  }
  EXPECT_EQ(pairs, 7 * merged->config.llm.layers);
  EXPECT_GT(Difference(logits(base), logits(LoadStart(NanoRecipe("multitask")))), 0.05)
      << "nothing was learned";
  EXPECT_LT(Difference(logits(base), logits(tuned)), 1e-4);
}

TEST(Lora, NarrowFrozenWeightsStayCloseToTheirValues) {
  const std::string name = "model.layers.1.mlp.up_proj";
  const auto matrix = [&](const std::string& type) {
    const StartModel start = LoadStart(NanoRecipe("lora", {"lora.rank=4", "model.frozen_weights=" + type}));
    for (const auto& [key, projection] : start.model->projections()) {
      if (key == name) return projection->Weight().to(torch::kFloat32).detach();
    }
    MVLM_CHECK(false, "no {}", name);
  };
  const torch::Tensor exact = matrix("float32");
  EXPECT_TRUE(torch::equal(matrix("bfloat16"), exact.to(torch::kBFloat16).to(torch::kFloat32)));
  const torch::Tensor step = exact.view({exact.size(0), -1, 32}).abs().amax(2, true) / 127.0;
  const torch::Tensor error = (matrix("q8_0") - exact).abs().view({exact.size(0), -1, 32});
  EXPECT_LE((error / step).max().item<double>(), 0.5 + 127.0 / 2048);  // rounding, and the scale's own
  EXPECT_GT(error.max().item<double>(), 0);
}

class SavedAdapter : public Finetuning {};

// Under PEFT's names, which are these whatever our own constants say: "base_model.model." + the name of the
// module + ".lora_A.weight", and what is in modules_to_save under its own name behind that prefix.
TEST_F(SavedAdapter, HasPeftsFilesAndNames) {
  std::map<std::string, std::vector<int64_t>> wanted = {
      {"base_model.model.model.mm_projector.mlp.mlp.0.weight", {64, 64}},
      {"base_model.model.model.mm_projector.mlp.mlp.0.bias", {64}},
      {"base_model.model.model.mm_projector.mlp.mlp.2.weight", {64, 64}},
      {"base_model.model.model.mm_projector.mlp.mlp.2.bias", {64}},
      {"base_model.model.model.mm_projector.peg.peg.0.weight", {64, 1, 3, 3}},
      {"base_model.model.model.mm_projector.peg.peg.0.bias", {64}}};
  const std::tuple<std::string, int64_t, int64_t> kMatrices[] = {
      {"self_attn.q_proj", 64, 64}, {"self_attn.k_proj", 64, 64}, {"self_attn.v_proj", 64, 64},
      {"self_attn.o_proj", 64, 64}, {"mlp.gate_proj", 64, 192},   {"mlp.up_proj", 64, 192},
      {"mlp.down_proj", 192, 64}};
  for (const std::string layer : {"0", "1"}) {
    for (const auto& [matrix, in, out] : kMatrices) {
      const std::string name = "base_model.model.model.layers." + layer + "." + matrix;
      wanted[name + ".lora_A.weight"] = {4, in};
      wanted[name + ".lora_B.weight"] = {out, 4};
    }
  }
  Write(Mixed(8));
  ASSERT_EQ(RunError(Stage("lora", {"lora.rank=4", "schedule.steps=1", "run.samples=0"}), "run"), "");
  const auto saved = ReadTensors(At("run/lora/latest/adapter_model.safetensors"));
  ASSERT_TRUE(saved.has_value()) << saved.error().message;
  std::map<std::string, std::vector<int64_t>> found;
  for (const auto& [name, tensor] : saved->tensors) found[name] = tensor.sizes().vec();
  EXPECT_EQ(found, wanted);
  EXPECT_TRUE(std::filesystem::exists(At("run/lora/latest/adapter_config.json")));
}

nlohmann::json AdapterConfig(const Recipe& recipe) {
  const TemporaryDirectory directory;
  const Status written = WriteAdapterConfig(directory.path(), recipe);
  MVLM_CHECK(written.has_value(), "{}", written.error().message);
  return nlohmann::json::parse(ReadFile(directory.path() + "/adapter_config.json", 1 << 20).value());
}

// Keys of PEFT's LoraConfig, whose older versions take no others.
TEST(AdapterConfig, HasPeftsKeys) {
  Recipe recipe = NanoRecipe("lora", {"lora.rank=4", "lora.alpha=8", "lora.dropout=0.05"});
  nlohmann::json config = AdapterConfig(recipe);
  ASSERT_TRUE(config.contains("target_modules") && config["target_modules"].is_string());
  config.erase("target_modules");
  nlohmann::json wanted = {{"peft_type", "LORA"},
                           {"task_type", "CAUSAL_LM"},
                           {"base_model_name_or_path", kNanoModel},
                           {"r", 4},
                           {"lora_alpha", 8},
                           {"lora_dropout", 0.05},
                           {"bias", "none"},
                           {"fan_in_fan_out", false},
                           {"init_lora_weights", true},
                           {"inference_mode", true},
                           {"modules_to_save", nlohmann::json::array({"mm_projector"})}};
  EXPECT_EQ(config, wanted);
  recipe.model.train = {"language"};
  EXPECT_TRUE(AdapterConfig(recipe).at("modules_to_save").is_null());
}

// PEFT matches a string with re.fullmatch against the name of every module of the base model. What this
// pattern is made of means the same to Python and to ECMAScript.
TEST(AdapterConfig, ItsPatternMatchesTheDecodersMatricesAndNoOthers) {
  const nlohmann::json config = AdapterConfig(NanoRecipe("lora", {"lora.rank=4"}));
  const std::regex pattern(config.at("target_modules").get<std::string>());
  const auto matches = [&](const std::string& module) { return std::regex_match(module, pattern); };
  EXPECT_TRUE(matches("model.layers.0.self_attn.q_proj"));
  EXPECT_TRUE(matches("model.layers.23.mlp.down_proj"));
  EXPECT_FALSE(matches("model.vision_tower.vision_tower.vision_model.encoder.layers.0.self_attn.q_proj"));
  EXPECT_FALSE(matches("vision_model.encoder.layers.0.self_attn.q_proj"));
  EXPECT_FALSE(matches("model.layers.0.self_attn"));
  EXPECT_FALSE(matches("model.layers.0.self_attn.q_proj.lora_A"));
  EXPECT_FALSE(matches("lm_head"));

  // Exactly those that have factors here.
  const StartModel start = LoadStart(NanoRecipe("lora", {"lora.rank=4"}));
  MobileVlm model = start.model;
  std::vector<std::string> matched, adapted;
  for (const auto& item : model->named_modules()) {
    if (matches(item.key())) matched.push_back(item.key());
  }
  for (const auto& [name, projection] : model->projections()) {
    if (projection->has_lora()) adapted.push_back(name);
  }
  EXPECT_EQ(adapted.size(), 14u);
  EXPECT_THAT(matched, testing::UnorderedElementsAreArray(adapted));
}

// What a square matrix drops of ones: W = 0, A = B = 1 and alpha = rank, so that y is what A is given.
torch::Tensor DroppedOnes(uint64_t number, std::optional<uint64_t> seed) {
  constexpr int64_t kSize = 256, kRows = 512;
  Projection matrix(kSize, kSize,
                    MatrixOptions{.still = true, .lora = {.rank = kSize, .alpha = kSize, .dropout = 0.05}});
  matrix->Number(number);
  const torch::NoGradGuard no_gradients;
  for (auto& item : matrix->named_parameters()) {
    const bool factor = item.key() != "weight";
    item.value().copy_(factor ? torch::eye(kSize) : torch::zeros({kSize, kSize}));
  }
  const DropoutGuard dropout(seed);
  return matrix->forward(torch::ones({kRows, kSize}));
}

double Share(const torch::Tensor& chosen) { return chosen.to(torch::kFloat64).mean().item<double>(); }

TEST(Dropout, DropsItsShareAndScalesTheRest) {
  EXPECT_TRUE(torch::equal(DroppedOnes(0, {}), torch::ones({512, 256})));
  const torch::Tensor mask = DroppedOnes(0, 7);
  const torch::Tensor dropped = mask.eq(0), scaled = (mask - 1 / 0.95).abs().lt(1e-6);
  EXPECT_EQ(Share(dropped.logical_or(scaled)), 1);
  EXPECT_NEAR(Share(dropped), 0.05, 0.003);  // five standard deviations
  EXPECT_NEAR(mask.mean().item<double>(), 1, 0.0035);
}

TEST(Dropout, SeedAndMatrixNameAMask) {
  const torch::Tensor mask = DroppedOnes(0, 7);
  EXPECT_TRUE(torch::equal(mask, DroppedOnes(0, 7)));
  for (const torch::Tensor& other : {DroppedOnes(1, 7), DroppedOnes(0, 8)}) {
    // Neither the same nor the opposite: as many are dropped by both as by chance.
    EXPECT_NEAR(Share(mask.eq(0).logical_and(other.eq(0))), 0.05 * 0.05, 0.0008);
  }
}

TEST(Dropout, EveryMatrixOfAModelDrawsItsOwnMask) {
  const StartModel start = LoadStart(NanoRecipe("lora", {"lora.rank=4", "lora.dropout=0.05"}));
  const torch::NoGradGuard no_gradients;
  const DropoutGuard dropout(9);
  std::map<std::string, torch::Tensor> masks;  // of the first column
  for (auto& [name, matrix] : start.model->projections()) {
    if (!matrix->has_lora()) continue;
    auto parameters = matrix->named_parameters();
    torch::Tensor &a = parameters["lora_A.weight"], &b = parameters["lora_B.weight"];
    a.zero_()[0][0].fill_(1);
    b.zero_()[0][0].fill_(1);
    const torch::Tensor first = matrix->forward(torch::ones({512, a.size(1)})).select(1, 0);
    masks[name] = first.lt(first.mean());  // a sum of W's row, and what is not dropped adds to it
    EXPECT_NEAR(Share(masks[name]), 0.05, 0.05) << name;
    EXPECT_GT(Share(masks[name]), 0) << name;
  }
  EXPECT_EQ(masks.size(), 14u);
  for (auto one = masks.begin(); one != masks.end(); ++one) {
    for (auto other = std::next(one); other != masks.end(); ++other) {
      EXPECT_FALSE(torch::equal(one->second, other->second)) << one->first << " and " << other->first;
    }
  }
}

// Of the factors and the projector, after a forward pass that draws masks from `seed`, if any.
NamedTensors LoraGradients(bool recomputed, std::optional<uint64_t> seed) {
  Recipe recipe = NanoRecipe("lora", {"lora.rank=4", "lora.dropout=0.05"});
  recipe.model.gradient_checkpointing = recomputed;
  const StartModel start = LoadStart(recipe);
  MobileVlm model = start.model;
  {
    const torch::NoGradGuard no_gradients;
    for (auto& item : model->named_parameters()) {
      if (item.key().ends_with("lora_B.weight")) item.value().fill_(0.01);
    }
  }
  torch::Tensor loss;
  {
    const DropoutGuard dropout(seed);
    loss = model->Loss(NanoBatch(*model, 5)).loss;
  }
  loss.backward();  // outside of the guard: a segment remembers it
  NamedTensors gradients;
  for (const auto& item : model->named_parameters()) {
    if (item.value().requires_grad()) gradients[item.key()] = item.value().grad().clone();
  }
  return gradients;
}

// With dropout: a segment that is computed again draws the same masks.
TEST(Recomputed, GivesTheSameGradientsToTheBit) {
  for (const std::optional<uint64_t> seed : {std::optional<uint64_t>(), std::optional<uint64_t>(9)}) {
    const NamedTensors kept = LoraGradients(false, seed), again = LoraGradients(true, seed);
    ASSERT_EQ(kept.size(), 2 * 14u + 6u);
    for (const auto& [name, gradient] : kept) {
      EXPECT_TRUE(torch::equal(gradient, again.at(name)))
          << name << (seed ? " with dropout: " : ": ") << Difference(gradient, again.at(name)) << " of "
          << gradient.abs().max().item<double>();
    }
  }
}

TEST(Dropout, ChangesEveryGradientWithEverySeed) {
  const NamedTensors without = LoraGradients(true, {}), nine = LoraGradients(true, 9),
                     ten = LoraGradients(true, 10);
  for (const auto& [name, gradient] : without) {
    EXPECT_FALSE(torch::equal(gradient, nine.at(name))) << name;
    EXPECT_FALSE(torch::equal(nine.at(name), ten.at(name))) << name;
  }
}

}  // namespace
}  // namespace mobilevlm::train
