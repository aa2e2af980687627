// The whole server in this process, over loopback: what it answers and refuses.
#include "serve/server.h"

#include <sstream>

#include "serve/test_support.h"

namespace mobilevlm::serve {
namespace {

TEST(Server, AnswersAsASessionDoes) {
  const RunningServer server;
  const httplib::Result response = server.Post(AskAbout(PictureUri()));
  ASSERT_TRUE(response);
  ASSERT_EQ(response->status, 200) << response->body;
  const Json json = Json::parse(response->body);
  const Answer wanted = *NanoModel().NewSession()->Ask({Picture::FromFile(kGolden + "image_336.png")},
                                                       "What is this?", {.max_tokens = 8});
  EXPECT_EQ(json["choices"][0]["message"]["content"], wanted.text);
  EXPECT_EQ(json["usage"]["prompt_tokens"], wanted.stats.prompt_positions);
  EXPECT_EQ(json["usage"]["completion_tokens"], wanted.stats.generated);
  EXPECT_EQ(response->get_header_value("X-Request-Id"), json["id"]);

  Json streamed = AskAbout(PictureUri());
  streamed["stream"] = true;
  streamed["stream_options"]["include_usage"] = true;
  const httplib::Result stream = server.Post(streamed);
  ASSERT_TRUE(stream);
  EXPECT_THAT(stream->get_header_value("Content-Type"), HasSubstr("text/event-stream"));
  std::string text, finish;
  int usage = 0;
  std::istringstream lines(stream->body);
  std::string line, last;
  while (std::getline(lines, line)) {
    if (line.empty()) continue;
    last = line;
    if (line == "data: [DONE]") continue;
    const Json chunk = Json::parse(line.substr(6));
    if (chunk["choices"].empty()) {
      usage = chunk["usage"]["completion_tokens"];
      continue;
    }
    text += chunk["choices"][0]["delta"].value("content", "");
    if (!chunk["choices"][0]["finish_reason"].is_null()) finish = chunk["choices"][0]["finish_reason"];
  }
  EXPECT_EQ(text, wanted.text);
  EXPECT_EQ(last, "data: [DONE]");
  EXPECT_EQ(finish, wanted.stop == StopReason::kEos ? "stop" : "length");
  EXPECT_EQ(usage, wanted.stats.generated);
}

TEST(Server, ShowsItsStateAndThePage) {
  const RunningServer server;
  httplib::Client client = server.Client();
  EXPECT_EQ(Json::parse(client.Get("/v1/models")->body)["data"][0]["id"], "nano");
  EXPECT_EQ(client.Get("/v1/models/nano")->status, 200);
  EXPECT_EQ(client.Get("/v1/models/other")->status, 404);
  EXPECT_EQ(client.Get("/health")->status, 200);
  EXPECT_EQ(client.Get("/ready")->status, 200);
  server.Post(Ask("Hello"));
  const std::string counted = "mobilevlm_responses_total{path=\"/v1/chat/completions\",status=\"200\"} 1";
  const std::string metrics = server.MetricsWith(counted);
  for (const char* name : {"mobilevlm_queue_length 0", "mobilevlm_time_to_first_token_seconds_bucket",
                           "mobilevlm_image_seconds_count", "mobilevlm_memory_bytes{kind=\"resident\"}",
                           "mobilevlm_requests_total{outcome=\"answered\"} 1", counted.c_str(),
                           "mobilevlm_generated_tokens_total"}) {
    EXPECT_THAT(metrics, HasSubstr(name));
  }
  const httplib::Result page = client.Get("/");
  ASSERT_EQ(page->status, 200);
  EXPECT_THAT(page->get_header_value("Content-Security-Policy"), HasSubstr("default-src 'none'"));
  EXPECT_EQ(client.Get("/", {{"If-None-Match", page->get_header_value("ETag")}})->status, 304);
  EXPECT_FALSE(page->has_header("Access-Control-Allow-Origin"));
  for (const char* path :
       {"/../etc/passwd", "/%2e%2e/etc/passwd", "/nowhere", "/v1", "//", "/web/assets.h"}) {
    const httplib::Result missing = client.Get(path);
    ASSERT_TRUE(missing) << path;
    EXPECT_GE(missing->status, 400) << path;
  }
  Error(client.Get(kChat), 405);
  Error(client.Put(kChat, "{}", "application/json"), 405);
  Error(server.Client().Delete("/v1/models/nano"), 404);
  Error(server.Client().Post("/nowhere", std::string(100'000, 'x'), "text/plain"), 404);
}

TEST(Server, RefusesBadRequestsInOneClearForm) {
  ServerOptions options = Quiet();
  options.media.max_pixels = 1'000'000;
  const RunningServer server(options);
  EXPECT_THAT(Error(server.PostText("{\"model\": "), 400), HasSubstr("not valid JSON"));
  EXPECT_THAT(Error(server.PostText(""), 400), HasSubstr("not valid JSON"));
  EXPECT_THAT(Error(server.PostText("{}"), 400), HasSubstr("model is missing"));
  EXPECT_THAT(Error(server.PostText(R"({"model": "nano"})"), 400), HasSubstr("messages is missing"));
  Json json = Ask("Hello");
  json["temperature"] = "hot";
  EXPECT_THAT(Error(server.Post(json), 400), HasSubstr("temperature"));
  json = Ask("Hello");
  json["model"] = "other";
  EXPECT_THAT(Error(server.Post(json), 404), HasSubstr("'other' does not exist"));
  json = Ask("Hello");
  json["max_tokens"] = -5;
  EXPECT_THAT(Error(server.Post(json), 400), HasSubstr("max_tokens"));
  EXPECT_THAT(Error(server.Post(AskAbout("data:image/png;base64,")), 400), HasSubstr("empty"));
  EXPECT_THAT(Error(server.Post(AskAbout("data:image/png;base64,!!!!")), 400), HasSubstr("base64"));
  EXPECT_THAT(Error(server.Post(AskAbout("data:image/png;base64,AAAA")), 400),
              HasSubstr("messages[0] image 1"));
  EXPECT_THAT(Error(server.Post(AskAbout(PngBombUri())), 400), HasSubstr("60000"));
  EXPECT_THAT(Error(server.Post(AskAbout("http://127.0.0.1/a.png")), 400), HasSubstr("fetches no URLs"));
  EXPECT_THAT(Error(server.Post(AskAbout("file:///etc/passwd")), 400), HasSubstr("not enabled"));
  std::string text;
  for (int i = 0; i < 4000; ++i) text += "word ";
  EXPECT_THAT(Error(server.Post(Ask(text)), 400), HasSubstr("but the context holds 2048"));
  json = Ask("Hello");
  json["response_format"] = {
      {"type", "json_schema"},
      {"json_schema", {{"name", "x"}, {"schema", {{"type", "string"}, {"pattern", "a"}}}}}};
  EXPECT_THAT(Error(server.Post(json), 400), HasSubstr("pattern"));
  EXPECT_EQ(server.Post(Ask("Still there?"))->status, 200);
}

}  // namespace
}  // namespace mobilevlm::serve
