// The projectors that experiments compare: shapes, gradients, and what each is in terms of the others.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "train/mini_config.h"
#include "train/modules/mobilevlm.h"
#include "train/modules/projector.h"
#include "train/test_support.h"

namespace mobilevlm::train {
namespace {

constexpr int kGrid = 12, kVisionHidden = 10, kHidden = 16;

ProjectorPlan Plan(const std::string& name, int pool = 2) {
  ProjectorPlan plan =
      ProjectorPlan::Named(name, {.vision_hidden = kVisionHidden, .hidden = kHidden, .grid = kGrid});
  plan.pool = pool;
  return plan;
}

torch::Tensor Features(int64_t batch = 2) { return torch::randn({batch, kGrid * kGrid, kVisionHidden}); }

struct Case {
  const char* name;
  int pool, tokens;
  bool official;
};
const Case kCases[] = {{"ldpnetv2", 2, 36, true},  {"ldpnetv2", 1, 144, false},
                       {"ldpnetv2", 3, 16, false}, {"ldpnetv2", 4, 9, false},
                       {"ldpnet", 2, 36, true},    {"mlp2x_gelu", 2, 144, true},
                       {"linear", 2, 144, false},  {"ldpnetv2_no_peg", 2, 36, false}};
class ProjectorCase : public testing::TestWithParam<Case> {};

TEST_P(ProjectorCase, HasItsTokensAndSaysWhetherItCanBeExported) {
  const Case& wanted = GetParam();
  const ProjectorPlan plan = Plan(wanted.name, wanted.pool);
  EXPECT_TRUE(plan.Check("x").has_value());
  EXPECT_EQ(plan.tokens(), wanted.tokens);
  EXPECT_EQ(plan.official(), wanted.official);
  EXPECT_GT(plan.ForwardOperations(1), plan.FirstProductOperations(1) - 1);
  torch::manual_seed(1);
  const torch::Tensor tokens = MakeProjector(plan)->forward(Features());
  EXPECT_EQ(tokens.sizes(), (std::vector<int64_t>{2, wanted.tokens, kHidden}));
}

// The derivative along a random direction, of all parameters and of the features, against a difference.
TEST_P(ProjectorCase, GradientsAreThoseOfDifferences) {
  torch::manual_seed(2);
  const auto projector = MakeProjector(Plan(GetParam().name, GetParam().pool));
  projector->to(torch::kFloat64);
  torch::Tensor features = Features().to(torch::kFloat64).requires_grad_();
  const torch::Tensor weights = torch::randn({2, GetParam().tokens, kHidden}, torch::kFloat64);
  const auto value = [&] { return (projector->forward(features) * weights).sum(); };
  std::vector<torch::Tensor> inputs = projector->parameters();
  inputs.push_back(features);
  const auto gradients = torch::autograd::grad({value()}, inputs);
  const torch::NoGradGuard no_gradients;
  constexpr double kStep = 1e-6;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const torch::Tensor direction = torch::randn_like(inputs[i]);
    const double wanted = (gradients[i] * direction).sum().item<double>();
    inputs[i].add_(direction, kStep);
    const double above = value().item<double>();
    inputs[i].add_(direction, -2 * kStep);
    const double below = value().item<double>();
    inputs[i].add_(direction, kStep);
    EXPECT_NEAR((above - below) / (2 * kStep), wanted, 1e-5 * (1 + std::abs(wanted))) << i;
    EXPECT_GT(gradients[i].abs().max().item<double>(), 0) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All, ProjectorCase, testing::ValuesIn(kCases), [](const auto& test) {
  return std::string(test.param.name) + "_" + std::to_string(test.param.pool);
});

// The projector with the parameters of another one, as far as it has them.
std::shared_ptr<Projector> Like(const ProjectorPlan& plan, const torch::nn::Module& other) {
  const torch::NoGradGuard no_gradients;
  auto projector = MakeProjector(plan);
  const auto source = other.named_parameters();
  for (auto& item : projector->named_parameters()) {
    const torch::Tensor* value = source.find(item.key());
    EXPECT_NE(value, nullptr) << item.key();
    if (value != nullptr) item.value().copy_(*value);
  }
  return projector;
}

TEST(ProjectorVariants, WithoutPegIsLdpV2WithAConvolutionOfZeros) {
  const torch::NoGradGuard no_gradients;
  torch::manual_seed(3);
  const auto whole = MakeProjector(Plan("ldpnetv2"));
  const torch::Tensor features = Features();
  const auto without = Like(Plan("ldpnetv2_no_peg"), *whole);
  EXPECT_EQ(without->named_parameters().size(), whole->named_parameters().size() - 2);
  EXPECT_GT(Difference(whole->forward(features), without->forward(features)), 1e-3);
  for (auto& item : whole->named_parameters()) {
    if (item.key().starts_with("peg.")) item.value().zero_();
  }
  EXPECT_LT(Difference(whole->forward(features), without->forward(features)), 1e-6);
}

TEST(ProjectorVariants, PoolsAreMeansOfSquaresOfPatches) {
  const torch::NoGradGuard no_gradients;
  torch::manual_seed(4);
  const auto finest = MakeProjector(Plan("ldpnetv2_no_peg", 1));
  const torch::Tensor features = Features();
  const torch::Tensor map = finest->forward(features).view({2, kGrid, kGrid, kHidden}).permute({0, 3, 1, 2});
  for (const int pool : {2, 3, 4, 6, 12}) {
    const torch::Tensor wanted =
        torch::adaptive_avg_pool2d(map, {kGrid / pool, kGrid / pool}).flatten(2).transpose(1, 2);
    const torch::Tensor found = Like(Plan("ldpnetv2_no_peg", pool), *finest)->forward(features);
    EXPECT_LT(Difference(found, wanted), 1e-5) << pool;
  }
}

TEST(ProjectorVariants, LinearIsOneMatrixUnderLlavasNames) {
  const torch::NoGradGuard no_gradients;
  torch::manual_seed(5);
  const auto projector = MakeProjector(Plan("linear"));
  const auto parameters = projector->named_parameters();
  ASSERT_EQ(parameters.size(), 2u);
  const torch::Tensor features = Features();
  const torch::Tensor wanted = torch::matmul(features, parameters["weight"].t()) + parameters["bias"];
  EXPECT_LT(Difference(projector->forward(features), wanted), 1e-5);
}

TEST(ProjectorVariants, RefuseGridsThatDoNotDivide) {
  const Status five = Plan("ldpnetv2", 5).Check("[mini]");
  ASSERT_FALSE(five.has_value());
  EXPECT_EQ(five.error().message, "[mini]: mini.pool: wanted a divisor of the 12 patches a side, found 5");
  const Status linear = Plan("linear", 3).Check("[mini]");
  ASSERT_FALSE(linear.has_value());
  EXPECT_EQ(linear.error().message, "[mini]: mini.pool = 3 is for ldpnetv2, found projector linear");
  EXPECT_FALSE(Plan("ldpnet", 1).Check("[mini]").has_value());
}

// The seed must mean what it meant before there were variants: V2's projector draws its numbers in this
// order.
TEST(ProjectorVariants, TheOfficialOneIsInitialisedAsEver) {
  torch::manual_seed(6);
  const auto projector = MakeProjector(Plan("ldpnetv2"));
  torch::manual_seed(6);
  const torch::nn::Linear first(kVisionHidden, kHidden), second(kHidden, kHidden);
  const torch::nn::Conv2d peg(torch::nn::Conv2dOptions(kHidden, kHidden, 3).padding(1).groups(kHidden));
  const auto parameters = projector->named_parameters();
  EXPECT_TRUE(torch::equal(parameters["mlp.mlp.0.weight"], first->weight));
  EXPECT_TRUE(torch::equal(parameters["mlp.mlp.2.bias"], second->bias));
  EXPECT_TRUE(torch::equal(parameters["peg.peg.0.weight"], peg->weight));
}

}  // namespace
}  // namespace mobilevlm::train
