#include "base/parse_json.h"

#include <gtest/gtest.h>

#include <string>

namespace mobilevlm {
namespace {

std::string Nested(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(ParseJson, GivesTheValueOrSaysWhere) {
  const auto object = ParseJson(R"({"a": [1, "]]["]})", "x.json");
  ASSERT_TRUE(object) << object.error().message;
  EXPECT_EQ(object->at("a")[0], 1);
  const auto broken = ParseJson("{", "x.json:3");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().message, "x.json:3: not valid JSON");
  const auto ordered = ParseJson<nlohmann::ordered_json>(R"({"b": 1, "a": 2})", "x.json");
  ASSERT_TRUE(ordered) << ordered.error().message;
  EXPECT_EQ(ordered->dump(), R"({"b":1,"a":2})");
}

TEST(ParseJson, RefusesWhatWouldOverflowTheStack) {
  const auto deepest = ParseJson(Nested(kDeepestJson), "x.json");
  ASSERT_TRUE(deepest) << deepest.error().message;
  EXPECT_EQ(deepest->dump(), Nested(kDeepestJson));
  for (const std::string& text :
       {Nested(200'000), std::string(200'000, '{'), "{\"a\":" + Nested(kDeepestJson) + "}"}) {
    const auto refused = ParseJson(text, "x.json");
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().message.starts_with("x.json: wanted JSON nested at most 256 deep, found 2"))
        << refused.error().message;
  }
}

TEST(ParseJson, TheCallbackSeesEveryKey) {
  std::string keys;
  const auto watch = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    if (event == nlohmann::json::parse_event_t::key) keys += value.get<std::string>();
    return true;
  };
  ASSERT_TRUE(ParseJson(R"({"a": {"b": 1}, "a": 2})", "x.json", watch));
  EXPECT_EQ(keys, "aba");
}

}  // namespace
}  // namespace mobilevlm
