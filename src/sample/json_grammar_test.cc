// Schemas against texts that they must allow or refuse, and tokens against the texts they make up.
#include "sample/json_grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/random.h"
#include "sample/token_constraint.h"

namespace mobilevlm {
namespace {

using ::testing::HasSubstr;

Grammar MustCompile(std::string_view schema) {
  Result<Grammar> grammar = CompileJsonSchema(schema);
  EXPECT_TRUE(grammar) << schema << ": " << grammar.error().message;
  return std::move(*grammar);
}

bool Matches(const Grammar& grammar, std::string_view text) {
  GrammarMatcher matcher(grammar);
  GrammarMatcher::State state = matcher.Start(), next;
  for (const char c : text) {
    matcher.Advance(state, static_cast<unsigned char>(c), next);
    std::swap(state, next);
  }
  return GrammarMatcher::CanEnd(state);
}

struct Case {
  const char* schema;
  std::vector<std::string> allowed, refused;
};

TEST(JsonGrammar, AllowsWhatTheSchemaAllows) {
  const std::vector<Case> cases = {
      {R"({"type": "null"})", {"null", " null"}, {"", "nul", "nulll", "  null", "Null"}},
      {R"({"type": "boolean"})", {"true", "false"}, {"1", "truefalse"}},
      {R"({"type": "integer"})",
       {"0", "-0", "7", "-120", "1234567890123456"},
       {"", "-", "01", "1.5", "1e3", "12345678901234567", "+1"}},
      {R"({"type": "integer", "minimum": 0})", {"0", "10"}, {"-1"}},
      {R"({"type": "integer", "minimum": -2, "maximum": 11})",
       {"-2", "0", "1", "11"},
       {"-3", "12", "111", "-"}},
      {R"({"type": "number"})",
       {"0", "-1.5", "2e9", "1.25E-7", "3.14159", "6e99"},
       {"1.", ".5", "1e", "--1", "1e999", "NaN", "1e00x"}},
      {R"({"type": "string"})",
       {R"("")", R"("a b")", "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"", R"("\n\"\\\u00e9\uD7ff")"},
       {"a", "\"", "\"a", "\"\n\"", "\"\xC3\"", "\"\xC0\x80\"", "\"\xED\xA0\x80\"", "\"\xF5\x80\x80\x80\"",
        R"("\x")", R"("\ud800")", R"("\u12")", "\"\xFF\""}},
      {R"({"type": "string", "minLength": 1, "maxLength": 2})",
       {R"("a")", "\"\xE2\x82\xAC\xC3\xA9\"", R"("\n\n")"},
       {R"("")", R"("abc")"}},
      {R"({"type": ["string", "null"]})", {R"("x")", "null"}, {"1"}},
      {R"({"enum": ["a", "ab", 1, null, {"x": [1]}]})",
       {R"("a")", R"("ab")", "1", "null", R"({"x":[1]})"},
       {R"("b")", R"("abc")"}},
      {R"({"const": "yes"})", {R"("yes")"}, {R"("no")"}},
      {R"({"type": ["string", "integer"], "enum": ["a", null, 1, 1.5]})", {R"("a")", "1"}, {"null", "1.5"}},
      {R"({"enum": ["a", {"x": 1, "y": 2}], "const": {"y": 2, "x": 1}})", {R"({"x":1,"y":2})"}, {R"("a")"}},
      {R"({"type": "array", "items": {"type": "integer"}})",
       {"[]", "[1]", "[1,2]", "[1, 2,3]"},
       {"[1,]", "[,1]", "[1 ,2]", "[\"a\"]", "[1"}},
      {R"({"type": "array", "items": {"const": 1}, "minItems": 2, "maxItems": 3})",
       {"[1,1]", "[1,1,1]"},
       {"[]", "[1]", "[1,1,1,1]"}},
      {R"({"type": "array", "items": {"const": 1}, "minItems": 2})", {"[1,1]", "[1,1,1,1,1]"}, {"[1]"}},
      {R"({"type": "array", "items": {"const": 1}, "maxItems": 0})", {"[]"}, {"[1]"}},
      {R"({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"const": 2}}, "required": ["a", "b"]})",
       {R"({"a":1,"b":2})", R"({"a": 1, "b": 2})"},
       {"{}", R"({"a":1})", R"({"b":2,"a":1})", R"({"a":1,"b":2,"c":3})", R"({"a":1,"a":1,"b":2})"}},
      {R"({"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}, "c": {"const": 3}}, "required": ["b"]})",
       {R"({"b":2})", R"({"a":1,"b":2})", R"({"b":2,"c":3})", R"({"a":1,"b":2,"c":3})"},
       {"{}", R"({"a":1})", R"({"a":1,"c":3})", R"({,"b":2})"}},
      {R"({"type": "object", "properties": {"a": {"const": 1}}})", {"{}", R"({"a":1})"}, {R"({"b":1})"}},
      {R"({"type": "object", "additionalProperties": false})", {"{}"}, {R"({"a":1})"}},
      {R"({"type": "object", "additionalProperties": {"type": "integer"}})",
       {"{}", R"({"x":1,"y":2})"},
       {R"({"x":"1"})"}},
      {R"({"type": "object"})", {"{}", R"({"a":[true,{"b":null}],"c":1.5})"}, {"[]", "1"}},
      {"{}", {"1", "[]", "{}", R"("a")", "[[[]]]"}, {"[", "a"}},
      {"true", {"1"}, {""}},
      {R"({"anyOf": [{"type": "integer"}, {"type": "array", "items": {"$ref": "#"}}]})",
       {"1", "[1,[2,[]]]"},
       {R"(["a"])"}},
      {R"({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "properties":
          {"v": {"type": "integer"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}, "required": ["v", "kids"]}}})",
       {R"({"v":1,"kids":[{"v":2,"kids":[]}]})"},
       {R"({"v":1,"kids":[{"v":2}]})"}},
      {R"({"properties": {"q\"\n": {"title": "T", "description": "D", "default": 1, "const": 1}}})",
       {R"({"q\"\n":1})"},
       {R"({"q":1})"}},
  };
  for (const Case& c : cases) {
    const Grammar grammar = MustCompile(c.schema);
    for (const std::string& text : c.allowed) EXPECT_TRUE(Matches(grammar, text)) << c.schema << "  " << text;
    for (const std::string& text : c.refused)
      EXPECT_FALSE(Matches(grammar, text)) << c.schema << "  " << text;
  }
}

TEST(JsonGrammar, NamesWhatItDoesNotSupport) {
  const auto refusal = [](const std::string& schema) {
    const Result<Grammar> grammar = CompileJsonSchema(schema);
    return grammar ? "" : grammar.error().message;
  };
  EXPECT_THAT(refusal(R"({"type": "string", "pattern": "a+"})"),
              HasSubstr("#: keyword \"pattern\" is not supported"));
  EXPECT_THAT(refusal(R"({"type": "object", "properties": {"x": {"type": "string", "format": "date"}}})"),
              HasSubstr("#/properties/x: keyword \"format\""));
  EXPECT_THAT(refusal(R"({"oneOf": [{}]})"), HasSubstr("oneOf"));
  EXPECT_THAT(refusal(R"({"type": "integer", "minLength": 1})"), HasSubstr("minLength"));
  EXPECT_THAT(refusal(R"({"type": "number", "minimum": 0})"), HasSubstr("minimum"));
  EXPECT_THAT(refusal(R"({"type": ["integer", "number"], "minimum": 0})"), HasSubstr("minimum"));
  EXPECT_THAT(refusal(R"({"type": "string", "enum": [1, null]})"), HasSubstr("leave no value"));
  EXPECT_THAT(refusal(R"({"type": "integer", "minimum": 5})"), HasSubstr("minimum and maximum together"));
  EXPECT_THAT(refusal(R"({"type": "integer", "minimum": 0, "maximum": 18446744073709551615})"),
              HasSubstr("apart"));
  EXPECT_THAT(
      refusal(R"({"type": "integer", "minimum": -9223372036854775808, "maximum": 9223372036854775807})"),
      HasSubstr("apart"));
  EXPECT_THAT(refusal(R"({"type": "integer", "minimum": 2, "maximum": 1})"), HasSubstr("less than minimum"));
  EXPECT_THAT(refusal(R"({"type": "string", "minLength": 2})"), HasSubstr("needs a maxLength"));
  EXPECT_THAT(refusal(R"({"type": "string", "maxLength": 100000})"), HasSubstr("maxLength"));
  EXPECT_THAT(refusal(R"({"type": "array", "minItems": 3, "maxItems": 2})"), HasSubstr("maxItems"));
  EXPECT_THAT(refusal(R"({"type": "object", "required": ["a"]})"), HasSubstr("\"a\" is required"));
  EXPECT_THAT(refusal(R"({"type": 3})"), HasSubstr("#/type"));
  EXPECT_THAT(refusal(R"({"type": []})"), HasSubstr("empty list"));
  EXPECT_THAT(refusal(R"({"enum": []})"), HasSubstr("#/enum"));
  EXPECT_THAT(refusal(R"({"$ref": "http://example.com/s"})"), HasSubstr("wanted a place in this schema"));
  EXPECT_THAT(refusal(R"({"$ref": "#/nowhere"})"), HasSubstr("there is no #/nowhere"));
  EXPECT_THAT(refusal(R"({"$ref": "#"})"), HasSubstr("refers to itself"));
  EXPECT_THAT(refusal(R"({"anyOf": [{"type": "null"}, {"$ref": "#"}]})"), HasSubstr("refers to itself"));
  EXPECT_THAT(refusal(R"({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]})"),
              HasSubstr("no finite text"));
  EXPECT_THAT(refusal("false"), HasSubstr("wanted an object or true"));
  EXPECT_THAT(refusal("{"), HasSubstr("not JSON"));
  std::string deep = "{}";
  for (int i = 0; i < 40; ++i) deep = R"({"type": "array", "items": )" + deep + "}";
  EXPECT_THAT(refusal(deep), HasSubstr("deeper"));
  EXPECT_THAT(refusal(std::string(70'000, ' ') + "{}"), HasSubstr("bytes"));
}

// All bytes, and a few words that cross the grammar's borders.
struct Vocabulary {
  Vocabulary() {
    words = {"",     " {\"", "{\"", "\":", "\": \"", "\",\"", "}",  "\"}",      "[1,",   "[[[[",
             "true", "tru",  "e",   " ",   "name",   "12",    "12", "\xE2\x82", "\xAC\""};
    for (int byte = 0; byte < 256; ++byte) words.push_back(std::string(1, static_cast<char>(byte)));
    std::vector<std::string_view> views(words.begin(), words.end());
    trie = std::make_unique<TokenTrie>(views);
  }
  std::vector<std::string> words;
  std::unique_ptr<TokenTrie> trie;
};

// The mask of every step against trying each token on its own.
TEST(TokenConstraint, MasksExactlyTheTokensThatFit) {
  const Vocabulary vocabulary;
  const auto grammar = std::make_shared<const Grammar>(MustCompile(
      R"({"type": "object", "properties": {"name": {"type": "string"}, "n": {"type": "array"}}, "required": ["name"]})"));
  constexpr size_t kPlenty = 1000;
  for (const std::string text : {"", " ", "{", "{\"", "{\"name", "{\"name\": \"", "{\"name\": \"a",
                                 "{\"name\":\"\xE2", "{\"name\":\"x\",\"n\":[[1,"}) {
    TokenConstraint constraint(grammar, *vocabulary.trie);
    for (const char c : text) constraint.Accept(19 + static_cast<unsigned char>(c));
    std::vector<float> logits(vocabulary.words.size(), 1.0f);
    constraint.Mask(kPlenty, logits);
    for (size_t id = 0; id < logits.size(); ++id) {
      const bool fits = constraint.Allows(static_cast<int>(id), kPlenty);
      EXPECT_EQ(logits[id] == 1.0f, fits) << text << " + " << vocabulary.words[id];
      // And against the matcher, byte by byte.
      GrammarMatcher matcher(*grammar);
      GrammarMatcher::State state = matcher.Start(), next;
      for (const char c : text + vocabulary.words[id]) {
        matcher.Advance(state, static_cast<unsigned char>(c), next);
        std::swap(state, next);
      }
      EXPECT_EQ(fits, !state.empty() && !vocabulary.words[id].empty())
          << text << " + " << vocabulary.words[id];
    }
  }
}

// Random walks: every text ends within its budget and is valid JSON of the right shape.
TEST(TokenConstraint, RandomWalksEndInTimeAndAreValid) {
  const Vocabulary vocabulary;
  const auto grammar = std::make_shared<const Grammar>(MustCompile(
      R"({"type": "object", "properties": {"name": {"type": "string"}, "more": {"$ref": "#"}, "any": {}},
          "required": ["name", "any"]})"));
  Random random(11);
  for (int walk = 0; walk < 200; ++walk) {
    TokenConstraint constraint(grammar, *vocabulary.trie);
    const size_t budget = 20 + static_cast<size_t>(walk);  // {"name":"","any":0} has 19 bytes
    std::string text;
    size_t used = 0;
    while (!constraint.finished()) {
      ASSERT_LT(used, budget) << text;
      std::vector<float> logits(vocabulary.words.size(), 0.0f);
      constraint.Mask(budget - used - 1, logits);
      std::vector<int> allowed;
      for (size_t id = 0; id < logits.size(); ++id) {
        if (logits[id] == 0.0f) allowed.push_back(static_cast<int>(id));
      }
      ASSERT_FALSE(allowed.empty()) << text;
      const int id = allowed[static_cast<size_t>(random.Uniform() * static_cast<double>(allowed.size()))];
      constraint.Accept(id);
      text += vocabulary.words[static_cast<size_t>(id)];
      ++used;
    }
    const auto json = nlohmann::json::parse(text, nullptr, false);
    ASSERT_TRUE(json.is_object()) << text;
    EXPECT_TRUE(json.at("name").is_string());
    EXPECT_TRUE(json.contains("any"));
  }
}

TEST(TokenConstraint, ABudgetThatIsTooSmallDoesNotStopTheText) {
  const Vocabulary vocabulary;
  const auto grammar = std::make_shared<const Grammar>(MustCompile(R"({"const": "a long word"})"));
  TokenConstraint constraint(grammar, *vocabulary.trie);
  std::vector<float> logits(vocabulary.words.size(), 0.0f);
  constraint.Mask(2, logits);
  EXPECT_EQ(logits[19 + '"'], 0.0f);
  EXPECT_TRUE(std::isinf(logits[19 + 'a']));
}

TEST(GrammarMatcher, GivesUpOnAmbiguityInsteadOfGrowing) {
  // Each level can be read in two ways; after 9 of them, in 512.
  const auto arrays = [](int levels) {
    std::string definitions = R"("a0": {"type": "integer"})";
    for (int i = 1; i <= levels; ++i) {
      const std::string one =
          fmt::format(R"({{"type": "array", "items": {{"$ref": "#/$defs/a{}"}}}})", i - 1);
      definitions += fmt::format(R"(, "a{}": {{"anyOf": [{}, {}]}})", i, one, one);
    }
    return MustCompile(fmt::format(R"({{"$ref": "#/$defs/a{}", "$defs": {{{}}}}})", levels, definitions));
  };
  EXPECT_TRUE(Matches(arrays(3), "[[[1]]]"));
  EXPECT_FALSE(Matches(arrays(9), std::string(9, '[') + "1" + std::string(9, ']')));
}

// Long texts with a long beginning in common take neither stack nor time.
TEST(JsonGrammar, LongConstantsThatBeginAlike) {
  const std::string alike(30'000, 'a');
  const std::string one = alike + "b", other = alike + "c";
  const Grammar grammar = MustCompile(fmt::format(R"({{"enum": ["{}", "{}"]}})", one, other));
  EXPECT_TRUE(Matches(grammar, '"' + one + '"'));
  EXPECT_TRUE(Matches(grammar, '"' + other + '"'));
  EXPECT_FALSE(Matches(grammar, '"' + alike + '"'));
}

}  // namespace
}  // namespace mobilevlm
