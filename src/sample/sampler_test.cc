#include "sample/sampler.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "sample/stop.h"

namespace mobilevlm {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

int MustSample(Sampler& sampler, std::span<const float> logits, std::span<const int> seen = {}) {
  Result<int> id = sampler.Sample(logits, seen);
  EXPECT_TRUE(id) << id.error().message;
  return id.value_or(-1);
}

// Share of each id over many draws.
std::map<int, double> Frequencies(const SamplerOptions& options, std::span<const float> logits) {
  Sampler sampler(options);
  constexpr int kDraws = 20000;
  std::map<int, double> share;
  for (int i = 0; i < kDraws; ++i) share[MustSample(sampler, logits)] += 1.0 / kDraws;
  return share;
}

TEST(ArgMax, TakesTheFirstOfEqualsAndIgnoresNan) {
  EXPECT_EQ(ArgMax(std::array{1.0f, 3.0f, 3.0f, 2.0f}), 1);
  EXPECT_EQ(ArgMax(std::array{kNan, -5.0f, kNan}), 1);
  EXPECT_EQ(ArgMax(std::array{kNan, -kInf}), -1);
  EXPECT_EQ(ArgMax(std::span<const float>()), -1);
}

TEST(Sampler, GreedyIsArgMaxWithAndWithoutPenalty) {
  const std::array logits{0.5f, 2.0f, 1.9f};
  Sampler greedy({});
  EXPECT_EQ(MustSample(greedy, logits), 1);
  Sampler penalised({.repetition_penalty = 1.2f});
  EXPECT_EQ(MustSample(penalised, logits, std::array{1, 1, 1}), 2);  // 2 / 1.2 < 1.9, once
  EXPECT_EQ(MustSample(penalised, logits, std::array{0, -4, 99}), 1);
}

TEST(Sampler, PenaltyPushesNegativeLogitsDown) {
  Sampler sampler({.repetition_penalty = 2.0f});
  EXPECT_EQ(MustSample(sampler, std::array{-1.0f, -1.5f}, std::array{0}), 1);
}

TEST(Sampler, PenaltyHitsAnIdOnceHoweverOftenItWasSeen) {
  Sampler sampler({.repetition_penalty = 1.5f});
  const std::vector<int> seen(1000, 0);
  EXPECT_EQ(MustSample(sampler, std::array{3.0f, 1.9f}, seen), 0);  // 3 / 1.5 = 2 > 1.9
}

TEST(Sampler, DrawsFollowTheSoftmax) {
  const std::array logits{std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  const auto share = Frequencies({.temperature = 1.0f, .seed = 7}, logits);
  EXPECT_NEAR(share.at(0), 0.5, 0.015);  // 4 standard deviations of 20,000 draws
  EXPECT_NEAR(share.at(1), 0.3, 0.015);
  EXPECT_NEAR(share.at(2), 0.2, 0.015);
}

TEST(Sampler, TemperatureSharpens) {
  const std::array logits{std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  const auto share = Frequencies({.temperature = 0.5f, .seed = 7}, logits);
  EXPECT_NEAR(share.at(0), 0.25 / 0.38, 0.015);  // squares: 0.25, 0.09, 0.04
}

TEST(Sampler, TopKKeepsExactlyK) {
  const std::array logits{1.0f, 1.1f, 0.9f, 1.05f};
  const auto share = Frequencies({.temperature = 1.0f, .top_k = 2}, logits);
  EXPECT_EQ(share.size(), 2u);
  EXPECT_TRUE(share.contains(1) && share.contains(3));
  const auto one = Frequencies({.temperature = 5.0f, .top_k = 1}, logits);
  EXPECT_EQ(one.size(), 1u);
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesP) {
  const std::array logits{std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  EXPECT_EQ(Frequencies({.temperature = 1.0f, .top_p = 0.45f}, logits).size(), 1u);
  const auto share = Frequencies({.temperature = 1.0f, .top_p = 0.75f}, logits);
  EXPECT_EQ(share.size(), 2u);
  EXPECT_NEAR(share.at(0), 0.625, 0.015);
}

TEST(Sampler, MinPDropsWhatIsFarBelowTheLikeliest) {
  const std::array logits{std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  const auto share = Frequencies({.temperature = 1.0f, .min_p = 0.5f}, logits);
  EXPECT_EQ(share.size(), 2u);
  EXPECT_NEAR(share.at(1), 0.375, 0.015);
}

TEST(Sampler, SeedFixesTheStream) {
  std::vector<float> logits(100);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = 0.01f * static_cast<float>(i % 7);
  const auto stream = [&](uint64_t seed) {
    Sampler sampler({.temperature = 1.0f, .seed = seed});
    std::vector<int> ids;
    for (int i = 0; i < 50; ++i) ids.push_back(MustSample(sampler, logits));
    return ids;
  };
  EXPECT_EQ(stream(1), stream(1));
  EXPECT_NE(stream(1), stream(2));
}

TEST(Sampler, NanAndInfinityNeverCrash) {
  Sampler sampler({.temperature = 0.7f, .top_k = 3, .top_p = 0.9f, .min_p = 0.01f});
  EXPECT_EQ(MustSample(sampler, std::array{kNan, 1.0f, kNan}), 1);
  EXPECT_EQ(MustSample(sampler, std::array{0.0f, kInf, 3.0f}), 1);
  EXPECT_EQ(MustSample(sampler, std::array{-kInf, -kInf, -1000.0f}), 2);
  EXPECT_FALSE(sampler.Sample(std::array{kNan, -kInf}, {}));
  EXPECT_FALSE(sampler.Sample({}, {}));
  Sampler greedy({});
  EXPECT_FALSE(greedy.Sample(std::array{kNan, kNan}, {}));
  Sampler penalised({.repetition_penalty = 2.0f});
  EXPECT_FALSE(penalised.Sample(std::array{kNan, kNan}, std::array{0}));
}

TEST(SamplerOptions, NamesWhatIsOutOfRange) {
  EXPECT_TRUE(CheckSamplerOptions({}));
  const auto message = [](const SamplerOptions& options) {
    const Status status = CheckSamplerOptions(options);
    return status ? std::string("accepted") : status.error().message;
  };
  EXPECT_EQ(message({.temperature = -1.0f}), "temperature must be in 0..100, found -1");
  EXPECT_NE(message({.temperature = kNan}), "accepted");
  EXPECT_EQ(message({.top_k = -1}), "top-k must not be negative, found -1");
  EXPECT_EQ(message({.top_p = 0.0f}), "top-p must be above 0 and at most 1, found 0");
  EXPECT_EQ(message({.min_p = 1.5f}), "min-p must be in 0..1, found 1.5");
  EXPECT_EQ(message({.repetition_penalty = 0.0f}),
            "repetition penalty must be above 0 and at most 100, found 0");
}

TEST(StopMatcher, HoldsBackWhatCouldBecomeAStopString) {
  StopMatcher matcher({"</s>", "USER:"});
  EXPECT_EQ(matcher.Push("A dog <"), "A dog ");
  EXPECT_EQ(matcher.Push("/"), "");
  EXPECT_EQ(matcher.Push("b> US"), "</b> ");
  EXPECT_EQ(matcher.Push("A."), "USA.");
  EXPECT_EQ(matcher.Push("xUSER:more"), "x");
  EXPECT_TRUE(matcher.matched());
  EXPECT_EQ(matcher.Push("anything"), "");
  EXPECT_EQ(matcher.Flush(), "");
}

TEST(StopMatcher, FlushGivesTheHeldTail) {
  StopMatcher matcher({"###"});
  EXPECT_EQ(matcher.Push("a##"), "a");
  EXPECT_EQ(matcher.Flush(), "##");
  EXPECT_FALSE(matcher.matched());
}

TEST(StopMatcher, EarliestStopWinsAndEmptyOnesAreIgnored) {
  StopMatcher matcher({"", "cd", "b"});
  EXPECT_EQ(matcher.Push("abcd"), "a");
  StopMatcher none({});
  EXPECT_EQ(none.Push("abc"), "abc");
}

}  // namespace
}  // namespace mobilevlm
