// What moves and what stands still, AdamW against torch's, kept features, and the decoder's sequences.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/check.h"
#include "train/checkpoint.h"
#include "train/data/picture_features.h"
#include "train/modules/functional.h"
#include "train/optim.h"
#include "train/stages/predict.h"
#include "train/start_model.h"
#include "train/test_nano.h"
#include "train/test_support.h"

namespace mobilevlm::train {
namespace {

// Parameter by parameter: after a step exactly those have changed that the stage trains.
struct Frozen {
  std::string recipe;
  bool tower, projector, language, factors;  // what moves
};
class FreezeTest : public testing::TestWithParam<Frozen> {};

TEST_P(FreezeTest, ExactlyTheStagesParametersMove) {
  const Frozen& wanted = GetParam();
  Recipe recipe = NanoRecipe(wanted.recipe);
  recipe.model.projector.clear();  // keep the nano model's own
  StartModel start = LoadStart(recipe);
  std::map<std::string, torch::Tensor> before;
  for (const auto& item : start.model->named_parameters()) before[item.key()] = item.value().detach().clone();
  Optimizer optimizer(MakeGroups(*start.model, recipe.optimizer));
  DataParallel parallel(1, false);
  // Twice, because B = 0 keeps A's gradient at zero in the first step.
  for (int step = 0; step < 2; ++step) {
    parallel.Step(optimizer.gradients(), 1,
                  [&](size_t) { return start.model->Loss(NanoBatch(*start.model, 7)); });
    optimizer.Step(1.0, 0.0);
  }
  int seen = 0;
  for (const auto& item : start.model->named_parameters()) {
    const std::string& name = item.key();
    const bool factor = name.ends_with(".lora_A.weight") || name.ends_with(".lora_B.weight");
    const bool moves = name.starts_with("model.vision_tower.")   ? wanted.tower
                       : name.starts_with("model.mm_projector.") ? wanted.projector
                       : factor                                  ? wanted.factors
                                                                 : wanted.language;
    EXPECT_EQ(item.value().requires_grad(), moves) << name;
    EXPECT_EQ(!torch::equal(before.at(name), item.value()), moves) << name;
    ++seen;
  }
  EXPECT_GT(seen, 60);
  EXPECT_EQ(start.model->named_parameters().contains("model.layers.1.mlp.down_proj.lora_B.weight"),
            wanted.factors);
  EXPECT_FALSE(start.model->named_parameters().contains("lm_head.lora_A.weight"));
}

INSTANTIATE_TEST_SUITE_P(Recipes, FreezeTest,
                         testing::Values(Frozen{"pretrain", false, true, true, false},
                                         Frozen{"multitask", false, true, true, false},
                                         Frozen{"lora", false, true, false, true},
                                         Frozen{"v1-pretrain", false, true, false, false},
                                         Frozen{"v1-finetune", false, true, true, false},
                                         Frozen{"mobilellama-sft", false, false, true, false}),
                         [](const auto& test) {
                           std::string name = test.param.recipe;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Groups, ProjectorHasItsRateAndVectorsHaveNoDecay) {
  Recipe recipe = NanoRecipe("pretrain", {"optimizer.weight_decay=0.1"});
  recipe.model.projector.clear();
  const StartModel start = LoadStart(recipe);
  const auto groups = MakeGroups(*start.model, recipe.optimizer);
  ASSERT_EQ(groups.size(), 4u);
  size_t parameters = 0;
  for (const ParameterGroup& group : groups) {
    for (const auto& [name, tensor] : group.parameters) {
      EXPECT_EQ(group.learning_rate, name.starts_with("model.mm_projector.") ? 1e-3 : 2e-5) << name;
      EXPECT_EQ(group.weight_decay,
                name.ends_with("bias") || name.find("norm") != std::string::npos ? 0.0 : 0.1)
          << name;
      ++parameters;
    }
  }
  EXPECT_EQ(parameters, TrainedTensors(*start.model, "").size());
}

TEST(Optimizer, StepsAsTorchsAdamWToTheBit) {
  torch::manual_seed(3);
  torch::nn::Linear ours(7, 5), theirs(7, 5);
  {
    const torch::NoGradGuard no_gradients;
    theirs->weight.copy_(ours->weight);
    theirs->bias.copy_(ours->bias);
  }
  Optimizer optimizer({ParameterGroup{{{"w", ours->weight}, {"b", ours->bias}}, 0.01, 0.1}},
                      AdamOptions{0.9, 0.98, 1e-8});
  torch::optim::AdamW reference(theirs->parameters(),
                                torch::optim::AdamWOptions(0.01).betas({0.9, 0.98}).weight_decay(0.1));
  for (int step = 0; step < 5; ++step) {
    const torch::Tensor x = torch::randn({4, 7});
    optimizer.gradients().Begin(1);
    optimizer.gradients().Backward(0, ours(x).square().mean(), 1.0);
    optimizer.gradients().Finish(1.0);
    optimizer.Step(1.0, 0.0);
    reference.zero_grad();
    theirs(x).square().mean().backward();
    reference.step();
    EXPECT_TRUE(torch::equal(ours->weight, theirs->weight)) << step;
    EXPECT_TRUE(torch::equal(ours->bias, theirs->bias)) << step;
  }
}

// Steps smaller than the parameter's last bit are not lost: they add up in the float32 copy.
TEST(Optimizer, Bfloat16ParametersFollowAFloat32Copy) {
  torch::Tensor narrow = torch::ones({4}, torch::kBFloat16).requires_grad_();
  torch::Tensor wide = torch::ones({4}).requires_grad_();
  Optimizer first({ParameterGroup{{{"p", narrow}}, 1e-4, 0.0}});
  Optimizer second({ParameterGroup{{{"p", wide}}, 1e-4, 0.0}});
  for (int step = 0; step < 100; ++step) {
    for (auto& [optimizer, parameter] : {std::pair{&first, narrow}, {&second, wide}}) {
      optimizer->gradients().Begin(1);
      optimizer->gradients().Backward(0, parameter.to(torch::kFloat32).sum(), 1.0);
      optimizer->gradients().Finish(1.0);
      optimizer->Step(1.0, 0.0);
    }
  }
  EXPECT_NEAR(wide[0].item<double>(), 0.99, 1e-4);
  EXPECT_TRUE(torch::equal(narrow, wide.to(torch::kBFloat16)));
  const NamedTensors state = Collected(first.State());
  ASSERT_TRUE(state.contains("p.master"));
  EXPECT_TRUE(torch::equal(state.at("p.master"), wide));
}

TEST(PictureFeatures, AreKeptInHalfPrecisionForOneTower) {
  const TemporaryDirectory directory;
  const StartModel start = LoadStart(NanoRecipe("pretrain"));
  MobileVlm model = start.model;
  const int64_t side = start.config.image.image_size;
  torch::manual_seed(3);
  const torch::NoGradGuard no_gradients;
  const torch::Tensor exact = model->tower()->forward(torch::randn({2, 3, side, side}));
  const torch::Tensor rounded = exact.to(torch::kHalf).to(torch::kFloat32);
  ASSERT_FALSE(torch::equal(exact, rounded));
  const std::vector<Hash128> keys{{1, 2}, {3, 4}};
  const auto open = [&] {
    auto features = PictureFeatures::Open(directory.path(), model->tower(), start.config.image);
    MVLM_CHECK(features.has_value(), "{}", features.error().message);
    return std::move(*features);
  };
  {
    PictureFeatures features = open();
    EXPECT_FALSE(features.Find(keys).defined());
    EXPECT_TRUE(torch::equal(features.Keep(keys, exact), rounded));
    EXPECT_FALSE(features.Find({keys[0], {5, 6}}).defined()) << "one of them is not there";
  }
  EXPECT_TRUE(torch::equal(open().Find({keys[1]}), rounded.slice(0, 1, 2)));
  model->tower()->parameters()[0].add_(0.5);
  EXPECT_FALSE(open().Find(keys).defined()) << "another tower";
}

// Two query heads share a key head.
LlmConfig GroupedLlm(int layers) {
  return {.hidden = 32,
          .intermediate = 48,
          .layers = layers,
          .heads = 4,
          .kv_heads = 2,
          .head_dim = 8,
          .vocab = 40,
          .context = 64,
          .rms_eps = 1e-6f};
}

TEST(GroupedHeads, EqualAModelWhoseHeadsAreRepeated) {
  torch::manual_seed(4);
  const LlmConfig grouped = GroupedLlm(1);
  LlmConfig whole = grouped;
  whole.kv_heads = 4;
  const auto model = [](const LlmConfig& llm) {
    MobileVlmConfig sizes;
    sizes.llm = llm;
    return MobileVlm(sizes);
  };
  MobileVlm few = model(grouped), many = model(whole);
  const torch::NoGradGuard no_gradients;
  auto from = few->named_parameters();
  for (auto& item : many->named_parameters()) {
    const torch::Tensor& value = from[item.key()];
    const bool repeated = value.sizes() != item.value().sizes();
    item.value().copy_(repeated ? value.view({2, 8, 32}).repeat_interleave(2, 0).view({32, 32}) : value);
  }
  TokenSample sample{.ids = {1, 5, 9, 13, 2}, .supervised = {0, 0, 0, 0, 0}};
  const TokenBatch text = Collate(std::vector{sample}, 0);
  EXPECT_LT(Difference(few->Hidden(text, {}), many->Hidden(text, {})), 1e-5);
}

// Batches are padded, if need be beyond what the model was made for.
TEST(Context, NeedsNoRoundNumber) {
  MobileVlmConfig sizes;
  sizes.llm = GroupedLlm(1);
  sizes.llm.context = 20;
  MobileVlm model(sizes);
  TokenSample sample;
  sample.ids.assign(20, 7);
  sample.supervised.assign(20, 0);
  EXPECT_EQ(model->Hidden(Collate(std::vector{sample}, 0), {}).size(0), 32);
}

TEST(Decoding, PartByPartEqualsTheWholeSequence) {
  torch::manual_seed(4);
  MobileVlmConfig sizes;
  sizes.llm = GroupedLlm(3);
  MobileVlm model(sizes);
  const torch::NoGradGuard no_gradients;
  TokenSample sample{.ids = {1, 5, 9, 13, 2, 22, 7}, .supervised = {0, 0, 0, 0, 0, 0, 0}};
  const TokenBatch text = Collate(std::vector{sample}, 0);
  const torch::Tensor whole = model->Hidden(text, {}), rows = model->Embedded(text, {});
  std::vector<KeyValues> past;
  for (const auto& [begin, end] : {std::pair{0, 3}, {3, 4}, {4, 7}}) {
    const torch::Tensor part = model->HiddenAfter(past, rows.slice(0, begin, end));
    EXPECT_LT(Difference(part, whole.slice(0, begin, end)), 1e-5) << begin;
  }

  // The same answer as from the whole sequence anew for every id.
  constexpr int kMost = 12, kNoEnd = -1;
  std::vector<int> anew;
  TokenSample longer = sample;
  while (anew.size() < kMost) {
    const auto last = static_cast<int64_t>(longer.ids.size()) - 1;
    const torch::Tensor hidden = model->Hidden(Collate(std::vector{longer}, 0), {});
    anew.push_back(
        static_cast<int>(model->Logits(hidden.slice(0, last, last + 1)).argmax(1).item<int64_t>()));
    longer.ids.push_back(anew.back());
    longer.supervised.push_back(0);
  }
  EXPECT_EQ(ContinueGreedily(*model, sample, {}, kMost, kNoEnd), anew);
  EXPECT_EQ(ContinueGreedily(*model, sample, {}, kMost, anew[3]).size(),
            static_cast<size_t>(std::find(anew.begin(), anew.end(), anew[3]) - anew.begin()));
}

}  // namespace
}  // namespace mobilevlm::train
