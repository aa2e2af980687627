// The server under clients that are slow, greedy, gone or many, and how it ends.
#include <chrono>
#include <future>
#include <map>
#include <thread>
#include <vector>

#include "serve/raw_client.h"
#include "serve/test_support.h"

namespace mobilevlm::serve {
namespace {

TEST(Server, LimitsBodies) {
  const RunningServer server;
  // 100 MB by its header: refused before it is sent.
  RawClient announced(server.port());
  announced.Send(PostHead(100'000'000) + "{");
  EXPECT_THAT(announced.Read(), HasSubstr("413"));
  // The same without a length, in chunks.
  RawClient chunked(server.port());
  chunked.Send("POST " + std::string(kChat) + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "10000\r\n" + std::string(0x10000, ' ') + "\r\n";
  for (int i = 0; i < 20; ++i) chunked.Send(chunk);
  EXPECT_THAT(chunked.Read(), HasSubstr("413"));
  // And really sent: the client still reads its answer.
  EXPECT_THAT(Error(server.PostText(std::string(100'000'000, ' ')), 413), HasSubstr("larger than"));
  httplib::MultipartFormDataItems form{{"file", "content", "name.png", "image/png"}};
  EXPECT_THAT(Error(server.Client().Post(kChat, form), 415), HasSubstr("form"));
  RawClient without_length(server.port());
  without_length.Send("POST " + std::string(kChat) + " HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(without_length.Read("}}"), HasSubstr("not valid JSON"));
  // A header that never ends.
  RawClient header(server.port());
  header.Send("GET /health HTTP/1.1\r\n");
  bool taken = true;
  for (int i = 0; i < 100 && taken; ++i)
    taken = header.Send("X-" + std::to_string(i) + ": " + std::string(1000, 'x') + "\r\n");
  EXPECT_THAT(header.Read("\n\n\n", 5'000), HasSubstr("400"));
  EXPECT_EQ(server.Post(Ask("Still there?"))->status, 200);
}

// A byte now and then keeps no connection open for ever.
TEST(Server, HeadersAndBodiesHaveADeadline) {
  ServerOptions options = Quiet();
  options.connection.header = options.connection.body = options.connection.idle = std::chrono::seconds(1);
  const RunningServer server(options);
  RawClient header(server.port()), body(server.port()), silent(server.port());
  header.Send("GET /health HTTP/1.1\r\n");
  body.Send(PostHead(1000));
  const auto begin = std::chrono::steady_clock::now();
  bool open = true;
  for (int i = 0; i < 40 && open; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    open = header.Send("x") && body.Send(" ");
  }
  EXPECT_THAT(body.Read(), HasSubstr("408"));
  header.Read();
  silent.Read();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(15));
  EXPECT_EQ(server.Client().Get("/health")->status, 200);
}

TEST(Server, AsksForAKey) {
  ServerOptions options = Quiet();
  options.api_keys = {"first", "second"};
  const RunningServer server(options);
  httplib::Client client = server.Client();
  EXPECT_THAT(Error(server.Post(Ask("Hello")), 401), HasSubstr("API key"));
  EXPECT_EQ(client.Get("/v1/models")->status, 401);
  EXPECT_EQ(client.Get("/v1/models", {{"Authorization", "Bearer wrong"}})->status, 401);
  EXPECT_EQ(client.Get("/v1/models", {{"Authorization", "Bearer second"}})->status, 200);
  EXPECT_EQ(client.Get("/health")->status, 200);
  EXPECT_EQ(client.Get("/")->status, 200);
  const auto answer =
      client.Post(kChat, {{"Authorization", "Bearer first"}}, Ask("Hello").dump(), "application/json");
  EXPECT_EQ(answer->status, 200);
}

TEST(Server, ListensElsewhereOnlyWithAKeyOrWhenTold) {
  ServerOptions options = Quiet();
  options.host = "0.0.0.0";
  const auto open = Server::Create(NanoModel(), options);
  ASSERT_FALSE(open);
  EXPECT_THAT(open.error().message, HasSubstr("--api-key"));
  options.api_keys = {""};
  EXPECT_FALSE(Server::Create(NanoModel(), options));
  EXPECT_TRUE(IsLoopback("127.0.0.1") && IsLoopback("127.1.2.3") && IsLoopback("::1") &&
              IsLoopback("localhost"));
  for (const char* host : {"0.0.0.0", "::", "192.168.0.1", "127.0.0.1.example.com", "", "*"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

TEST(Server, OnePortServesOneServer) {
  const RunningServer server;
  ServerOptions options = Quiet();
  options.port = server.port();
  const auto second = Server::Create(NanoModel(), options);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("cannot listen on"));
}

TEST(Server, CorsIsOffUnlessAnOriginIsNamed) {
  ServerOptions options = Quiet();
  options.cors_origin = "https://app.example";
  const RunningServer server(options);
  EXPECT_EQ(server.Client().Options(kChat)->status, 204);
  EXPECT_EQ(server.Post(Ask("Hello"))->get_header_value("Access-Control-Allow-Origin"),
            "https://app.example");
  const RunningServer other;
  EXPECT_NE(other.Client().Options(kChat)->status, 204);
  EXPECT_FALSE(other.Post(Ask("Hello"))->has_header("Access-Control-Allow-Origin"));
}

// No request's turn to be prepared comes.
TEST(Server, BodiesCountUntilTheirRequestsArePrepared) {
  ServerOptions options = Quiet();
  options.preparing = 0;
  options.drain_seconds = 0;
  const RunningServer server(options);
  std::string body = Ask("Hello").dump();
  body.resize(options.max_body, ' ');
  std::vector<std::unique_ptr<RawClient>> clients;
  const auto is_refused = [&] {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    clients.back()->Send(PostHead(body.size()) + body);
    return clients.back()->Read("overloaded", 200).find("overloaded") != std::string::npos;
  };
  int refused = 0;  // one after the other: those before them keep what they have taken
  for (int i = 0; i < 60 && refused < 5; ++i) refused = is_refused() ? refused + 1 : 0;
  EXPECT_EQ(refused, 5);
  EXPECT_GE(clients.size(), 16U + 5U);
  // A request whose client has gone leaves.
  clients.clear();
  const std::string gone = "mobilevlm_responses_total{path=\"/v1/chat/completions\",status=\"499\"}";
  EXPECT_THAT(server.MetricsWith(gone), HasSubstr(gone));
  EXPECT_FALSE(is_refused());
}

TEST(Server, TheWaitToBePreparedHasADeadline) {
  ServerOptions options = Quiet();
  options.preparing = 0;
  options.request_seconds = 1;
  const RunningServer server(options);
  EXPECT_THAT(Error(server.Post(Ask("Hello")), 503), HasSubstr("no answer within 1 s"));
}

// An answer of about 2,000 tokens, whatever the model would like to say.
Json AskForMuch() {
  Json json = Ask("Count.");
  json["max_tokens"] = 1900;
  json["response_format"] = {
      {"type", "json_schema"},
      {"json_schema", {{"schema", {{"type", "array"}, {"items", {{"const", 1}}}, {"minItems", 900}}}}}};
  return json;
}

// Statuses of so many at the same time; counts those that say when to come again.
std::map<int, int> AskAtOnce(const RunningServer& server, int requests, int& with_retry_after) {
  std::vector<std::future<httplib::Result>> responses;
  for (int i = 0; i < requests; ++i) {
    responses.push_back(std::async(std::launch::async, [&] { return server.Post(AskForMuch()); }));
  }
  std::map<int, int> statuses;
  for (auto& future : responses) {
    const httplib::Result response = future.get();
    ++statuses[response ? response->status : 0];
    with_retry_after += response && response->has_header("Retry-After");
  }
  return statuses;
}

TEST(Server, AFullQueueSaysWhenToComeAgain) {
  ServerOptions options = Quiet();
  options.batch.streams = 1;
  options.queue = 2;
  const RunningServer server(options);
  int with_retry_after = 0;
  std::map<int, int> statuses = AskAtOnce(server, 12, with_retry_after);
  EXPECT_GE(statuses[200], 3);
  EXPECT_GE(statuses[429], 1);
  EXPECT_EQ(statuses[200] + statuses[429], 12);
  EXPECT_EQ(with_retry_after, statuses[429]);
  EXPECT_EQ(server.Post(Ask("Now?"))->status, 200);
}

TEST(Server, ADeadlineEndsWhatTakesTooLong) {
  ServerOptions options = Quiet();
  options.batch.streams = 1;
  options.request_seconds = 1;
  const RunningServer server(options);
  int with_retry_after = 0;
  std::map<int, int> statuses = AskAtOnce(server, 24, with_retry_after);
  EXPECT_GE(statuses[503], 1);
  EXPECT_EQ(statuses[200] + statuses[503], 24);
  EXPECT_EQ(server.Post(Ask("Now?"))->status, 200);
}

TEST(Server, ClientsThatGoAwayFreeTheirPlaces) {
  ServerOptions options = Quiet();
  options.batch.streams = 1;
  const RunningServer server(options);
  const std::string body = AskForMuch().dump();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    clients.back()->Send(PostHead(body.size()) + body);
  }
  clients.clear();
  EXPECT_EQ(server.Post(Ask("Now?"))->status, 200);
  const std::string cancelled = "mobilevlm_requests_total{outcome=\"cancelled\"}";
  EXPECT_THAT(server.MetricsWith(cancelled), HasSubstr(cancelled));
}

TEST(Server, DrainAnswersWhatItAccepted) {
  RunningServer server;
  Json json = Ask("Talk.");
  json["max_tokens"] = 60;
  json["temperature"] = 1.5;
  std::vector<std::future<int>> statuses;
  for (int i = 0; i < 8; ++i) {  // twice the streams
    json["seed"] = i;
    json["stream"] = i % 2 == 0;
    statuses.push_back(std::async(std::launch::async, [&server, json] {
      const httplib::Result response = server.Post(json);
      if (!response) return 0;
      const bool whole = json["stream"] == false || response->body.find("data: [DONE]") != std::string::npos;
      return whole ? response->status : -1;
    }));
  }
  // All have been accepted.
  for (int i = 0; i < 400; ++i) {
    const std::string metrics = server.Client().Get("/metrics")->body;
    const auto value = [&](const std::string& name) {
      const size_t at = metrics.find("\n" + name + " ");
      return at == std::string::npos ? 0 : std::atoi(metrics.c_str() + at + name.size() + 2);
    };
    const size_t at = metrics.find("outcome=\"answered\"} ");
    const int answered = at == std::string::npos ? 0 : std::atoi(metrics.c_str() + at + 20);
    if (value("mobilevlm_queue_length") + value("mobilevlm_streams") + answered >= 8) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  server.Stop();
  for (auto& status : statuses) EXPECT_EQ(status.get(), 200);
  EXPECT_FALSE(httplib::Client("127.0.0.1", server.port()).Get("/health"));
}

TEST(Server, WhileItDrainsItIsNotReady) {
  ServerOptions options = Quiet();
  options.drain_delay_seconds = 1;
  RunningServer server(options);
  std::thread draining([&] { server.Stop(); });
  int status = 0;
  for (int i = 0; i < 80 && status != 503; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const auto ready = httplib::Client("127.0.0.1", server.port()).Get("/ready");
    status = ready ? ready->status : 0;
  }
  EXPECT_EQ(status, 503);
  draining.join();
}

TEST(Server, IdleConnectionsDoNotLockOthersOut) {
  ServerOptions options = Quiet();
  options.queue = 1;
  const RunningServer server(options);  // 4 + 1 + 64 connections
  std::vector<std::unique_ptr<RawClient>> idle;
  for (int i = 0; i < 80; ++i) idle.push_back(std::make_unique<RawClient>(server.port()));
  EXPECT_EQ(server.Client().Get("/health")->status, 200);
  EXPECT_EQ(server.Post(Ask("Hello"))->status, 200);
}

}  // namespace
}  // namespace mobilevlm::serve
