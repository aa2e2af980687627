// The pure edge of the API: JSON in, JSON out, data: URIs, files, keys.
#include "serve/chat_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "serve/api_keys.h"
#include "serve/chat_response.h"
#include "serve/data_uri.h"
#include "serve/media.h"

namespace mobilevlm::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

nlohmann::json Minimal() {
  return nlohmann::json::parse(R"({"model": "m", "messages": [{"role": "user", "content": "Hello"}]})");
}

ChatRequest MustParse(const nlohmann::json& json) {
  ApiResult<ChatRequest> request = ParseChatRequest(json.dump());
  EXPECT_TRUE(request) << request.error().message;
  return request.value_or(ChatRequest());
}

ApiError MustRefuse(const std::string& body) {
  const ApiResult<ChatRequest> request = ParseChatRequest(body);
  EXPECT_FALSE(request) << body;
  return request ? ApiError() : request.error();
}

// Minimal() with one argument changed.
ApiError MustRefuse(const char* name, const nlohmann::json& value) {
  nlohmann::json json = Minimal();
  json[name] = value;
  return MustRefuse(json.dump());
}

TEST(ChatRequest, ReadsEveryArgument) {
  const std::string body = R"({
    "model": "m", "stream": true, "stream_options": {"include_usage": true}, "max_completion_tokens": 7,
    "temperature": 0.5, "top_p": 0.9, "seed": -3, "stop": ["a", "b"], "n": 1, "logprobs": true, "top_logprobs": 4,
    "top_k": 5, "min_p": 0.1, "repetition_penalty": 1.2, "user": "me", "tools": [], "presence_penalty": 0,
    "frequency_penalty": 0.0, "logit_bias": {}, "tool_choice": "none", "modalities": ["text"], "store": false,
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": true,
      "schema": {"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "string"}}}}},
    "messages": [{"role": "system", "content": [{"type": "text", "text": "S"}]},
                 {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"},
                 {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:1", "detail": "low"}},
                                              {"type": "text", "text": "What?"}]}]})";
  const ApiResult<ChatRequest> parsed = ParseChatRequest(body);
  ASSERT_TRUE(parsed) << parsed.error().message;
  const ChatRequest& request = *parsed;
  EXPECT_EQ(request.model, "m");
  EXPECT_TRUE(request.stream && request.include_usage && request.has_seed);
  const GenerateOptions& options = request.options;
  EXPECT_EQ(options.max_tokens, 7);
  EXPECT_FLOAT_EQ(options.temperature, 0.5f);
  EXPECT_FLOAT_EQ(options.top_p, 0.9f);
  EXPECT_FLOAT_EQ(options.min_p, 0.1f);
  EXPECT_FLOAT_EQ(options.repetition_penalty, 1.2f);
  EXPECT_EQ(options.top_k, 5);
  EXPECT_EQ(options.seed, static_cast<uint64_t>(-3));
  EXPECT_THAT(options.stop, ElementsAre("a", "b"));
  EXPECT_EQ(options.logprobs, 4);
  // The order of the properties is the order in which they will be written.
  EXPECT_LT(options.json_schema.find("\"z\""), options.json_schema.find("\"a\""));
  ASSERT_EQ(request.messages.size(), 4u);
  EXPECT_EQ(request.messages[0].role, Role::kSystem);
  EXPECT_EQ(request.messages[2].role, Role::kAssistant);
  EXPECT_EQ(request.messages[3].text, "What?");
  EXPECT_THAT(request.messages[3].images, ElementsAre("data:1"));
}

TEST(ChatRequest, LeavesOutWhatIsNull) {
  nlohmann::json json = Minimal();
  for (const char* name : {"max_tokens", "temperature", "top_p", "seed", "stop", "n", "logprobs",
                           "response_format", "stream", "stream_options", "tools"}) {
    json[name] = nullptr;
  }
  const ChatRequest request = MustParse(json);
  EXPECT_EQ(request.options.max_tokens, 0);
  EXPECT_EQ(request.options.temperature, 0.0f);
  EXPECT_FALSE(request.stream || request.has_seed);
  EXPECT_EQ(request.options.logprobs, GenerateOptions::kNoLogprobs);
}

TEST(ChatRequest, PutsPicturesInFrontOrBetweenTexts) {
  const auto text = [](const char* parts) {
    nlohmann::json json = Minimal();
    json["messages"][0]["content"] = nlohmann::json::parse(parts);
    return MustParse(json).messages[0].text;
  };
  EXPECT_EQ(text(R"([{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}}])"), "a");
  EXPECT_EQ(
      text(R"([{"type":"image_url","image_url":"u"},{"type":"text","text":"a"},{"type":"text","text":"b"}])"),
      "a\nb");
  EXPECT_EQ(
      text(R"([{"type":"text","text":"a"},{"type":"image_url","image_url":"u"},{"type":"text","text":"b"}])"),
      "a\n<image>\nb");
}

TEST(ChatRequest, RefusesWhatIsWrongAndSaysWhere) {
  EXPECT_THAT(MustRefuse("{").message, HasSubstr("not valid JSON"));
  EXPECT_THAT(MustRefuse("").message, HasSubstr("not valid JSON"));
  EXPECT_THAT(MustRefuse("\"\xFF\"").message, HasSubstr("not valid JSON"));
  EXPECT_THAT(MustRefuse("[]").message, HasSubstr("wanted a JSON object"));
  EXPECT_THAT(MustRefuse(std::string(1'000'000, '[')).message, HasSubstr("nested deeper"));
  EXPECT_THAT(MustRefuse(R"({"messages": []})").message, HasSubstr("model is missing"));
  EXPECT_THAT(MustRefuse(R"({"model": "m"})").message, HasSubstr("messages is missing"));
  EXPECT_EQ(MustRefuse("model", 3).param, "model");
  EXPECT_EQ(MustRefuse("messages", "hi").param, "messages");
  EXPECT_EQ(MustRefuse("messages", nlohmann::json::array()).param, "messages");
  EXPECT_EQ(MustRefuse("max_tokens", -1).param, "max_tokens");
  EXPECT_EQ(MustRefuse("max_tokens", 0).param, "max_tokens");
  EXPECT_EQ(MustRefuse("max_tokens", 1.5).param, "max_tokens");
  EXPECT_EQ(MustRefuse("max_tokens", "10").param, "max_tokens");
  EXPECT_EQ(MustRefuse("max_tokens", UINT64_MAX).param, "max_tokens");
  EXPECT_EQ(MustRefuse("temperature", 2.5).param, "temperature");
  EXPECT_EQ(MustRefuse("temperature", "hot").param, "temperature");
  EXPECT_EQ(MustRefuse("top_p", -0.1).param, "top_p");
  EXPECT_EQ(MustRefuse("stop", {"a", "b", "c", "d", "e"}).param, "stop");
  EXPECT_EQ(MustRefuse("stop", "").param, "stop");
  EXPECT_EQ(MustRefuse("stop", 3).param, "stop");
  EXPECT_EQ(MustRefuse("n", 2).param, "n");
  EXPECT_EQ(MustRefuse("seed", 1.5).param, "seed");
  EXPECT_EQ(MustRefuse("stream", "yes").param, "stream");
  EXPECT_EQ(MustRefuse("stream_options", {{"include_usage", true}}).param, "stream_options");
  EXPECT_EQ(MustRefuse("top_logprobs", 3).param, "top_logprobs");
  EXPECT_EQ(MustRefuse("top_logprobs", 21).param, "top_logprobs");
  EXPECT_EQ(MustRefuse("presence_penalty", 0.5).code, "unsupported_parameter");
  EXPECT_EQ(MustRefuse("tools", {{{"type", "function"}}}).code, "unsupported_parameter");
  EXPECT_EQ(MustRefuse("colour", "red").code, "unknown_parameter");
  EXPECT_EQ(MustRefuse("response_format", {{"type", "xml"}}).param, "response_format");
  EXPECT_EQ(MustRefuse("response_format", {{"type", "json_schema"}}).param, "response_format");
  const auto message = [](const nlohmann::json& one) {
    return MustRefuse("messages", nlohmann::json::array({one})).message;
  };
  EXPECT_THAT(message("hi"), HasSubstr("messages[0]: wanted a message with a role"));
  EXPECT_THAT(message({{"role", "tool"}, {"content", "x"}}), HasSubstr("is not supported"));
  EXPECT_THAT(message({{"role", "user"}}), HasSubstr("content is missing"));
  EXPECT_THAT(message({{"role", "user"}, {"content", 3}}), HasSubstr("wanted a string or a list"));
  EXPECT_THAT(message({{"role", "user"}, {"content", {{{"type", "text"}}}}}), HasSubstr("content[0]"));
  EXPECT_THAT(message({{"role", "user"}, {"content", {{{"type", "image_url"}}}}}), HasSubstr("image_url"));
  EXPECT_THAT(message({{"role", "user"}, {"content", {{{"type", "input_audio"}}}}}),
              HasSubstr("input_audio"));
  EXPECT_THAT(message({{"role", "assistant"}, {"content", {{{"type", "image_url"}, {"image_url", "u"}}}}}),
              HasSubstr("not supported here"));
}

TEST(DataUri, DecodesBase64) {
  const auto bytes = [](std::string_view uri) { return ParseDataUri(uri).value_or(""); };
  EXPECT_EQ(bytes("data:image/png;base64,TWFu"), "Man");
  EXPECT_EQ(bytes("DATA:image/png;charset=x;BASE64,TWE="), "Ma");
  EXPECT_EQ(bytes("data:;base64,TQ=="), "M");
  EXPECT_EQ(bytes("data:;base64,TQ"), "M");
  EXPECT_EQ(bytes("data:image/png;x=y;base64,TW\r\nFu\n"), "Man");
  EXPECT_EQ(bytes("data:;base64,//79"), "\xFF\xFE\xFD");
  for (const char* wrong :
       {"", "data:", "data:image/png,TWFu", "http://x", "data:;base64,", "data:;base64,T",
        "data:;base64,TW*u", "data:;base64,TW u", "data:;base64,TWFu=", "data:;base64,=TWFu",
        "data:;base64,TQ===", "data:;base64,-_-_", "data:;base64"}) {
    EXPECT_FALSE(ParseDataUri(wrong)) << wrong;
  }
}

TEST(Media, KeepsToTheFolder) {
  const auto directory =
      std::filesystem::temp_directory_path() / ("media-test-" + std::to_string(::getpid()));
  std::filesystem::create_directories(directory / "in/sub");
  std::ofstream(directory / "in/sub/a b.png") << "picture";
  std::ofstream(directory / "out.png") << "secret";
  std::ofstream(directory / "inside.png") << "secret";  // shares the folder's name as a beginning
  std::filesystem::create_symlink(directory / "out.png", directory / "in/link.png");
  const MediaOptions options{.folder = (directory / "in").string()};
  const std::string root = "file://" + (directory / "in").string();
  const auto found = LoadMedia(root + "/sub/a%20b.png", "p", options);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->bytes, "picture");
  for (const std::string& url :
       {root + "/../out.png", root + "/%2e%2e/out.png", root + "/link.png", root + "side.png",
        root + "/nowhere.png", root + "/sub", root + "/sub/a%2", root + "/sub/a%00b",
        std::string("file:///etc/passwd"), std::string("file://")}) {
    const auto refused = LoadMedia(url, "p", options);
    ASSERT_FALSE(refused) << url;
    EXPECT_THAT(refused.error().message, HasSubstr("no such file in the server's media folder")) << url;
  }
  EXPECT_FALSE(LoadMedia(root + "/sub/a%20b.png", "p", {}));
  for (const char* url :
       {"http://169.254.169.254/", "https://example.com/a.png", "ftp://x/y", "/etc/passwd", "a.png"}) {
    const auto refused = LoadMedia(url, "p", options);
    ASSERT_FALSE(refused) << url;
    EXPECT_THAT(refused.error().message, HasSubstr("fetches no URLs"));
  }
  std::filesystem::remove_all(directory);
}

TEST(ApiKeys, MatchWholeKeysOnly) {
  const ApiKeys keys = *ApiKeys::Create({"alpha", "beta "});
  EXPECT_EQ(keys.Match("Bearer alpha"), 0);
  EXPECT_EQ(keys.Match("Bearer beta"), 1);
  for (const char* wrong :
       {"", "alpha", "Bearer", "Bearer ", "Bearer alph", "Bearer alphaa", "bearer alpha", "Basic alpha"}) {
    EXPECT_EQ(keys.Match(wrong), -1) << wrong;
  }
  EXPECT_FALSE(ApiKeys::Create({""}));
  EXPECT_FALSE(ApiKeys::Create({"a", " \n"}));
  EXPECT_EQ(ApiKeys::Create({})->Match("Bearer "), -1);
}

TEST(ChatResponse, HasTheFormOfOpenAi) {
  const CompletionId id{.id = "chatcmpl-1", .model = "m", .created = 5, .logprobs = true};
  Answer answer;
  answer.text = "A \xC3\xA9";
  answer.stop = StopReason::kMaxTokens;
  answer.stats.prompt_positions = 10;
  answer.stats.reused_positions = 4;
  answer.stats.generated = 3;
  Token token;
  token.bytes = "\xC3";
  token.logprob = -0.5f;
  token.top = {TokenChoice{1, "x", -1.0f}};
  answer.tokens = {token};
  const nlohmann::json json = nlohmann::json::parse(CompletionJson(id, answer));
  EXPECT_EQ(json["object"], "chat.completion");
  EXPECT_EQ(json["choices"][0]["message"]["content"], answer.text);
  EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(json["choices"][0]["logprobs"]["content"][0]["bytes"], nlohmann::json::array({0xC3}));
  EXPECT_EQ(json["choices"][0]["logprobs"]["content"][0]["top_logprobs"][0]["token"], "x");
  EXPECT_EQ(json["usage"]["total_tokens"], 13);
  EXPECT_EQ(json["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
  EXPECT_EQ(nlohmann::json::parse(EndChunkJson(id, StopReason::kStopString))["choices"][0]["finish_reason"],
            "stop");
  EXPECT_TRUE(nlohmann::json::parse(UsageChunkJson(id, answer.stats))["choices"].empty());
  EXPECT_EQ(nlohmann::json::parse(ErrorJson({.message = "bad \xFF", .param = "n"}))["error"]["param"], "n");
}

}  // namespace
}  // namespace mobilevlm::serve
