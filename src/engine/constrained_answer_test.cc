// Answers in JSON that a schema allows, and the probabilities of tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/test_models.h"

namespace mobilevlm {
namespace {

using ::testing::HasSubstr;

Answer MustAnswer(const Model& model, const GenerateOptions& options) {
  Result<Answer> answer = model.NewSession()->Ask({}, "What?", options);
  EXPECT_TRUE(answer) << answer.error().message;
  return answer.value_or(Answer());
}

constexpr char kSchema[] = R"({
  "type": "object",
  "properties": {
    "kind": {"enum": ["circle", "square", "bird"]},
    "count": {"type": "integer", "minimum": 0, "maximum": 20},
    "words": {"type": "array", "items": {"type": "string", "maxLength": 8}, "maxItems": 3}
  },
  "required": ["kind", "count", "words"],
  "additionalProperties": false
})";

TEST(JsonSchema, AnswersFollowItGreedyAndSampled) {
  const Model model = MustLoad(Mini());
  for (const float temperature : {0.0f, 1.0f, 5.0f}) {
    for (const uint64_t seed : {1, 2, 3}) {
      GenerateOptions options{.max_tokens = 200, .temperature = temperature, .seed = seed};
      options.json_schema = kSchema;
      const Answer answer = MustAnswer(model, options);
      EXPECT_EQ(answer.stop, StopReason::kEos) << answer.text;
      const auto json = nlohmann::json::parse(answer.text, nullptr, false);
      ASSERT_TRUE(json.is_object()) << answer.text;
      EXPECT_EQ(json.size(), 3u);
      EXPECT_LE(json.at("count"), 20);
      EXPECT_LE(json.at("words").size(), 3u);
    }
  }
}

// A stop string cuts its own bytes off: such a text is not whole, even if the schema's ended there.
TEST(JsonSchema, WhatAStopStringCutsIsNotWhole) {
  GenerateOptions options{.max_tokens = 50};
  options.json_schema = R"({"type": "object", "additionalProperties": false})";
  const Model model = MustLoad(Nano());
  EXPECT_EQ(MustAnswer(model, options).stop, StopReason::kEos);
  options.stop = {"}"};
  const Answer cut = MustAnswer(model, options);
  EXPECT_EQ(cut.text, "{");
  EXPECT_EQ(cut.stop, StopReason::kStopString);
}

// Strings without a bound: the budget brings them to their end.
TEST(JsonSchema, TheTextIsWholeWheneverTheBudgetAllows) {
  const Model model = MustLoad(Nano());
  GenerateOptions options{.temperature = 1.0f};
  options.json_schema = R"({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "array"}},
                           "required": ["a", "b"]})";
  for (const int max_tokens : {15, 16, 20, 40}) {  // {"a":"","b":[]} has 15 bytes
    for (options.seed = 0; options.seed < 5; ++options.seed) {
      options.max_tokens = max_tokens;
      const Answer answer = MustAnswer(model, options);
      EXPECT_EQ(answer.stop, StopReason::kEos) << answer.text;
      EXPECT_TRUE(nlohmann::json::accept(answer.text)) << answer.text;
      EXPECT_LE(answer.ids.size(), static_cast<size_t>(max_tokens));
    }
  }
  options.max_tokens = 5;
  const Answer cut = MustAnswer(model, options);
  EXPECT_EQ(cut.stop, StopReason::kMaxTokens);
  EXPECT_EQ(cut.ids.size(), 5u);
}

TEST(JsonSchema, SpeculationChangesNothing) {
  const Model model = MustLoad(Mini());
  GenerateOptions options{.max_tokens = 60};
  options.json_schema = R"({"type": "array", "items": {"enum": ["same", "same words"]}, "minItems": 8})";
  options.speculate = 0;
  const Answer plain = MustAnswer(model, options);
  options.speculate = 6;
  const Answer drafted = MustAnswer(model, options);
  EXPECT_EQ(plain.ids, drafted.ids);
  EXPECT_EQ(plain.text, drafted.text);
}

TEST(Logprobs, AreTheModelsOwnDistribution) {
  const Model model = MustLoad(Nano());
  GenerateOptions options{.max_tokens = 6};
  options.logprobs = GenerateOptions::kMostLogprobs;
  const Answer answer = MustAnswer(model, options);
  ASSERT_EQ(answer.tokens.size(), answer.ids.size());
  std::string bytes;
  for (size_t i = 0; i < answer.tokens.size(); ++i) {
    const Token& token = answer.tokens[i];
    EXPECT_EQ(token.id, answer.ids[i]);
    ASSERT_EQ(token.top.size(), 20u);
    EXPECT_EQ(token.top[0].id, token.id);  // greedy
    EXPECT_EQ(token.top[0].logprob, token.logprob);
    double sum = 0;
    for (size_t t = 0; t < token.top.size(); ++t) {
      sum += std::exp(static_cast<double>(token.top[t].logprob));
      if (t > 0) {
        EXPECT_LE(token.top[t].logprob, token.top[t - 1].logprob);
      }
    }
    EXPECT_LE(sum, 1.0 + 1e-5);
    bytes += token.bytes;
  }
  EXPECT_THAT(bytes, HasSubstr(answer.text));
  options.logprobs = 21;
  EXPECT_FALSE(model.NewSession()->Ask({}, "What?", options));
}

}  // namespace
}  // namespace mobilevlm
