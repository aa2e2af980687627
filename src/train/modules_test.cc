// The torch modules against numbers that PyTorch's own MobileVLM code gave for the same weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/read_file.h"
#include "image/decode.h"
#include "image/preprocess.h"
#include "tensor/npy.h"
#include "train/checkpoint.h"
#include "train/modules/mobilevlm.h"
#include "train/start_model.h"
#include "train/test_support.h"

namespace mobilevlm::train {
namespace {

const std::string kModels = std::string(MOBILEVLM_SOURCE_DIR) + "/tests/golden/";

torch::Tensor Golden(const std::string& name) {
  auto array = ReadNpy(kModels + name);
  EXPECT_TRUE(array.has_value()) << array.error().message;
  const std::vector<int64_t> shape(array->shape.begin(), array->shape.end());
  return torch::tensor(array->values).view(shape);
}

// Each projector once, loaded as a finetune stage does.
class Nano : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    Recipe recipe;
    recipe.model.start = kModels + GetParam() + "/hf";
    recipe.model.train = {"projector", "language"};
    auto start = LoadStartModel(recipe);
    ASSERT_TRUE(start.has_value()) << start.error().message;
    image_ = start->config.image;
    model_ = start->model;
  }

  torch::Tensor File(const std::string& name) const { return Golden(std::string(GetParam()) + "/" + name); }

  torch::Tensor Pixels() const {
    const auto picture = LoadImage(kModels + "image_336.png");
    EXPECT_TRUE(picture.has_value());
    const Image resized = ResizeForModel(*picture, image_.image_size, ImageMode::kPad, image_.mean);
    torch::Tensor pixels = torch::empty({1, 3, image_.image_size, image_.image_size});
    Normalise(resized, image_.mean, image_.std,
              {pixels.data_ptr<float>(), static_cast<size_t>(pixels.numel())});
    return pixels;
  }

  torch::NoGradGuard no_gradients_;
  ImageConfig image_;
  MobileVlm model_{nullptr};
};

TEST_P(Nano, TowerGivesTheReferenceFeatures) {
  const torch::Tensor features = model_->tower()->forward(Pixels())[0];
  EXPECT_LT(Difference(features, File("vision_features.npy")), 1e-3);
}

TEST_P(Nano, ProjectorGivesTheReferenceTokens) {
  MicroBatch batch;
  batch.features = File("vision_features.npy").unsqueeze(0);
  EXPECT_LT(Difference(model_->Visual(batch), File("visual_tokens.npy")), 1e-3);
}

TEST_P(Nano, DecoderGivesTheReferenceLogits) {
  std::ifstream stream(kModels + GetParam() + "/expected.json");
  const nlohmann::json expected = nlohmann::json::parse(stream);
  const torch::Tensor visual = File("visual_tokens.npy");
  const int count = static_cast<int>(visual.size(0));
  TokenSample sample;
  sample.ids = expected["ids_before_image"].get<std::vector<int>>();
  sample.image_starts = {static_cast<int>(sample.ids.size())};
  sample.ids.resize(sample.ids.size() + static_cast<size_t>(count), 0);
  for (const int id : expected["ids_after_image"]) sample.ids.push_back(id);
  sample.supervised.resize(sample.ids.size(), 0);

  // Twice and with a longer neighbour: neither batch nor padding may change the result.
  TokenSample longer = sample;
  longer.ids.resize(sample.ids.size() + 5, 3);
  longer.supervised.resize(longer.ids.size(), 0);
  const TokenBatch text = Collate(std::vector{longer, sample}, count);
  const torch::Tensor logits = model_->Logits(model_->Hidden(text, torch::cat({visual, visual})));
  const int64_t length = static_cast<int64_t>(sample.ids.size());
  const torch::Tensor second = logits.slice(0, text.tokens, text.tokens + length);
  EXPECT_LT(Difference(second, File("prompt_logits.npy")), 1e-3);
}

TEST_P(Nano, RoundsSideBySideGiveTheLogitsOfEachAlone) {
  const torch::Tensor visual = File("visual_tokens.npy");
  const int count = static_cast<int>(visual.size(0));
  const auto sample = [&](const std::vector<int>& tail) {
    TokenSample made{.ids = std::vector<int>(static_cast<size_t>(count) + 1, 0), .image_starts = {1}};
    made.ids[0] = 1;
    made.ids.insert(made.ids.end(), tail.begin(), tail.end());
    made.supervised.resize(made.ids.size(), 0);
    return made;
  };
  const TokenSample first = sample({5, 6, 7}), second = sample({8, 9, 10, 11});
  const size_t shared = static_cast<size_t>(count) + 1;
  const auto logits = [&](const TokenSample& one) {
    return model_->Logits(model_->Hidden(Collate(std::vector{one}, count), visual));
  };
  const auto begin = static_cast<int64_t>(shared);
  const torch::Tensor both = logits(SideBySide(std::vector{first, second}, shared));
  EXPECT_LT(Difference(both.slice(0, 0, begin + 3), logits(first).slice(0, 0, begin + 3)), 1e-4);
  EXPECT_LT(Difference(both.slice(0, begin + 3, begin + 7), logits(second).slice(0, begin, begin + 4)), 1e-4);
}

TEST_P(Nano, ParametersBearTheOfficialNames) {
  const auto weights = SafetensorsFile::Open(kModels + GetParam() + "/hf/model.safetensors");
  ASSERT_TRUE(weights.has_value()) << weights.error().message;
  for (const auto& item : model_->named_parameters()) {
    EXPECT_NE(weights->Find(item.key()), nullptr) << item.key();
  }
  EXPECT_TRUE(model_->named_parameters().contains(
      "model.vision_tower.vision_tower.vision_model.encoder.layers.1.self_attn.out_proj.bias"));
}

INSTANTIATE_TEST_SUITE_P(Projectors, Nano, testing::Values("nano-ldpv2", "nano80-ldp", "nano-mlp"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Functional, QuickGeluHasTheRightGradient) {
  const torch::Tensor x = torch::linspace(-6, 6, 101).requires_grad_();
  const torch::Tensor plain = x * torch::sigmoid(1.702 * x);
  const torch::Tensor weights = torch::linspace(0.5, 2, 101);
  const torch::Tensor wanted = torch::autograd::grad({(plain * weights).sum()}, {x})[0];
  const torch::Tensor found = torch::autograd::grad({(QuickGelu(x) * weights).sum()}, {x})[0];
  EXPECT_LT(Difference(QuickGelu(x), plain), 1e-6);
  EXPECT_LT(Difference(found, wanted), 1e-5);
}

TEST(Functional, LookLossIsTheShareOfAttentionOnTheWanted) {
  torch::manual_seed(4);
  constexpr int64_t kBatch = 2, kTokens = 3, kHeads = 2, kHeadDim = 4;
  const torch::Tensor qkv = torch::randn({kBatch * kTokens, 3 * kHeads * kHeadDim});
  const AttentionShape shape{.batch = kBatch, .tokens = kTokens, .heads = kHeads, .causal = true};
  Looks looks{.head = 1,
              .rows = torch::tensor({int64_t{2}, int64_t{4}}),  // sequence 0, token 2; sequence 1, token 1
              .wanted = torch::tensor({{1.0f, 0.0f, 1.0f}, {1.0f, 0.0f, 0.0f}})};
  const std::vector<Looks> all{looks};
  torch::Tensor loss;
  const torch::Tensor mixed = Attention(qkv, shape, nullptr, &all, &loss);
  EXPECT_TRUE(torch::equal(mixed, Attention(qkv, shape, nullptr)));
  // The same by hand: head 1's queries begin at kHeadDim, its keys kHeads * kHeadDim later.
  const auto share = [&](int64_t first, int64_t token, std::vector<int64_t> wanted) {
    double total = 0, on_wanted = 0;
    for (int64_t seen = 0; seen <= token; ++seen) {
      const torch::Tensor q = qkv[first + token].slice(0, kHeadDim, 2 * kHeadDim);
      const torch::Tensor k = qkv[first + seen].slice(0, 3 * kHeadDim, 4 * kHeadDim);
      const double weight = std::exp(q.dot(k).item<double>() / 2);  // sqrt(kHeadDim)
      total += weight;
      if (std::find(wanted.begin(), wanted.end(), seen) != wanted.end()) on_wanted += weight;
    }
    return on_wanted / total;
  };
  const double there = -(std::log(share(0, 2, {0, 2})) + std::log(share(3, 1, {0}))) / 2;
  EXPECT_NEAR(loss.item<double>(), there, 1e-5);
  // Beside it one that says how the attention is to be divided; the loss is the mean of the two.
  Looks divided{.head = 1,
                .divided = true,
                .rows = torch::tensor({int64_t{2}}),
                .wanted = torch::tensor({{0.25f, 0.0f, 0.75f}})};
  const std::vector<Looks> both{looks, divided};
  Attention(qkv, shape, nullptr, &both, &loss);
  const double apart = 0.25 * std::log(0.25 / share(0, 2, {0})) + 0.75 * std::log(0.75 / share(0, 2, {2}));
  EXPECT_NEAR(loss.item<double>(), (there + std::log1p(kDividedWeight * apart)) / 2, 1e-5);
}

TEST(Functional, HeadsThatAreNotThereAreNotTaught) {
  const AttentionShape shape{.batch = 1, .tokens = 2, .heads = 1, .causal = true};
  const std::vector<Looks> looks{
      {.head = 1, .rows = torch::tensor({int64_t{1}}), .wanted = torch::tensor({{1.0f, 0.0f}})}};
  torch::Tensor loss;
  Attention(torch::randn({2, 3 * 4}), shape, nullptr, &looks, &loss);
  EXPECT_FALSE(loss.defined());
}

TEST(Functional, Bfloat16ProductsStayCloseInAllThreeDirections) {
  torch::manual_seed(3);
  const torch::Tensor x = torch::randn({33, 65}).requires_grad_(),
                      w = torch::randn({17, 65}).requires_grad_();
  const torch::Tensor bias = torch::randn({17}).requires_grad_();
  const torch::Tensor direction = torch::randn({33, 17});
  const auto run = [&] {
    const torch::Tensor y = Linear(x, w, bias);
    auto result = torch::autograd::grad({(y * direction).sum()}, {x, w, bias});
    result.push_back(y.detach());
    return result;
  };
  const auto exact = run();
  const Bfloat16Guard guard(true);
  const auto rounded = run();
  for (size_t i = 0; i < exact.size(); ++i) {
    // Every factor and every result is rounded to 8 bits: 3 * 2^-9 relative to the norm, doubled.
    const double error = (exact[i] - rounded[i]).norm().item<double>() / exact[i].norm().item<double>();
    EXPECT_LT(error, 0.012) << i;
  }
  EXPECT_GT(Difference(exact[3], rounded[3]), 0.0);  // it really is another precision
}

}  // namespace
}  // namespace mobilevlm::train
