// What moves and what stands still, LoRA, narrow weights, recomputed segments, and AdamW against torch's.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/check.h"
#include "checkpoint/hf_directory.h"
#include "train/adapter.h"
#include "train/checkpoint.h"
#include "train/data/picture_features.h"
#include "train/modules/functional.h"
#include "train/optim.h"
#include "train/recipe/read_recipe.h"
#include "train/stages/predict.h"
#include "train/start_model.h"
#include "train/test_support.h"

namespace mobilevlm::train {
namespace {

const std::string kSource = MOBILEVLM_SOURCE_DIR;
const std::string kNano = kSource + "/tests/golden/nano-ldpv2/hf";

Recipe Shipped(const std::string& name, std::vector<std::string> overrides = {}) {
  overrides.insert(overrides.begin(),
                   {"model.start=" + kNano, "data.annotations=none.json", "model.weights=float32"});
  auto recipe = ReadRecipe(fmt::format("{}/configs/{}.toml", kSource, name), overrides);
  MVLM_CHECK(recipe.has_value(), "{}", recipe.error().message);
  return std::move(*recipe);
}

StartModel Load(const Recipe& recipe) {
  auto start = LoadStartModel(recipe);
  MVLM_CHECK(start.has_value(), "{}", start.error().message);
  return std::move(*start);
}

// One sequence with a picture; random ids.
MicroBatch Batch(const MobileVlmImpl& model, uint64_t seed) {
  torch::manual_seed(seed);
  const MobileVlmConfig& config = model.config();
  const int visual = config.projector ? config.projector->tokens() : 0;
  TokenSample sample{.ids = std::vector<int>(static_cast<size_t>(visual) + 20, 0)};
  if (visual > 0) sample.image_starts = {3};
  for (size_t i = 0; i < sample.ids.size(); ++i) sample.ids[i] = 5 + static_cast<int>(i * 37 % 600);
  sample.supervised.assign(sample.ids.size(), 0);
  std::fill(sample.supervised.end() - 10, sample.supervised.end(), 1);
  MicroBatch batch;
  batch.text = Collate(std::vector{sample}, visual);
  if (config.vision) batch.features = torch::randn({1, config.vision->patches(), config.vision->hidden});
  return batch;
}

// Parameter by parameter: after a step exactly those have changed that the stage trains.
struct Frozen {
  std::string recipe;
  bool tower, projector, language, factors;  // what moves
};
class FreezeTest : public testing::TestWithParam<Frozen> {};

TEST_P(FreezeTest, ExactlyTheStagesParametersMove) {
  const Frozen& wanted = GetParam();
  Recipe recipe = Shipped(wanted.recipe);
  recipe.model.projector.clear();  // keep the nano model's own
  StartModel start = Load(recipe);
  std::map<std::string, torch::Tensor> before;
  for (const auto& item : start.model->named_parameters()) before[item.key()] = item.value().detach().clone();
  Optimizer optimizer(MakeGroups(*start.model, recipe.optimizer));
  DataParallel parallel(1, false);
  // Twice, because B = 0 keeps A's gradient at zero in the first step.
  for (int step = 0; step < 2; ++step) {
    parallel.Step(optimizer.gradients(), 1,
                  [&](size_t) { return start.model->Loss(Batch(*start.model, 7)); });
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
  Recipe recipe = Shipped("pretrain", {"optimizer.weight_decay=0.1"});
  recipe.model.projector.clear();
  const StartModel start = Load(recipe);
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
  const NamedTensors state = first.State();
  ASSERT_TRUE(state.contains("p.master"));
  EXPECT_TRUE(torch::equal(state.at("p.master"), wide));
}

TEST(Lora, AFreshAdapterChangesNothingAndATrainedOneMergesToTheSame) {
  const Recipe recipe = Shipped("lora", {"lora.rank=4", "lora.alpha=8", "model.frozen_weights=float32"});
  const StartModel base = Load(Shipped("multitask")), tuned = Load(recipe);
  const MicroBatch batch = Batch(*base.model, 5);
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
  const auto merged = HfDirectory::Open(HfSources{.directory = directory.path(), .base = kNano});
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
  EXPECT_GT(Difference(logits(base), logits(Load(Shipped("multitask")))), 0.05) << "nothing was learned";
  EXPECT_LT(Difference(logits(base), logits(tuned)), 1e-4);
}

TEST(Lora, NarrowFrozenWeightsStayCloseToTheirValues) {
  const std::string name = "model.layers.1.mlp.up_proj";
  const auto matrix = [&](const std::string& type) {
    const StartModel start = Load(Shipped("lora", {"lora.rank=4", "model.frozen_weights=" + type}));
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

TEST(PictureFeatures, AreKeptInHalfPrecisionForOneTower) {
  const TemporaryDirectory directory;
  const StartModel start = Load(Shipped("pretrain"));
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

// With dropout: a segment that is computed again draws the same masks.
TEST(Recomputed, GivesTheSameGradientsToTheBit) {
  const auto gradients = [](bool recomputed) {
    Recipe recipe = Shipped("lora", {"lora.rank=4"});
    recipe.model.gradient_checkpointing = recomputed;
    EXPECT_GT(recipe.lora.dropout, 0);
    torch::manual_seed(6);  // of the factors A
    const StartModel start = Load(recipe);
    MobileVlm model = start.model;
    {
      const torch::NoGradGuard no_gradients;
      for (auto& item : model->named_parameters()) {
        if (item.key().ends_with("lora_B.weight")) item.value().fill_(0.01);
      }
    }
    model->Loss(Batch(*model, 5)).loss.backward();
    std::map<std::string, torch::Tensor> result;
    for (const auto& item : model->named_parameters()) {
      if (item.value().requires_grad()) result[item.key()] = item.value().grad().clone();
    }
    return result;
  };
  const auto kept = gradients(false), again = gradients(true);
  ASSERT_FALSE(kept.empty());
  for (const auto& [name, gradient] : kept) {
    EXPECT_TRUE(torch::equal(gradient, again.at(name)))
        << name << ": " << Difference(gradient, again.at(name)) << " of "
        << gradient.abs().max().item<double>();
  }
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
