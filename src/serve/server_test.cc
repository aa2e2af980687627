// The whole server in this process, over loopback: what it answers, refuses, limits and ends.
#include "serve/server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

namespace mobilevlm::serve {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

const std::string kGolden = MOBILEVLM_SOURCE_DIR "/tests/golden/";
constexpr char kChat[] = "/v1/chat/completions";

const Model& NanoModel() {
  static const Model model = *Model::Load(
      {.text = kGolden + "nano-ldpv2/text.gguf", .mmproj = kGolden + "nano-ldpv2/mmproj.gguf", .threads = 1});
  return model;
}

std::string Base64(std::string_view bytes) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) text += i + k > bytes.size() ? '=' : kAlphabet[bits >> (18 - 6 * k) & 63];
  }
  return text;
}

std::string PictureUri() {
  std::ifstream file(kGolden + "image_336.png", std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return "data:image/png;base64," + Base64(bytes.str());
}

// The head of a PNG that claims to be 60,000 pixels wide and high.
std::string PngBombUri() {
  std::string png("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xEA\x60\0\0\xEA\x60\x08\x02\0\0\0", 29);
  png += std::string("\x64\xE7\x2F\x58", 4) + std::string("\0\0\0\x10IDAT", 8) + std::string(16, '\0');
  return "data:image/png;base64," + Base64(png);
}

Json Ask(const std::string& text) {
  return {{"model", "nano"}, {"max_tokens", 8}, {"messages", {{{"role", "user"}, {"content", text}}}}};
}

Json AskAbout(const std::string& url, const std::string& text = "What is this?") {
  Json json = Ask("");
  json["messages"][0]["content"] = {{{"type", "text"}, {"text", text}},
                                    {{"type", "image_url"}, {"image_url", {{"url", url}}}}};
  return json;
}

ServerOptions Quiet() {
  ServerOptions options;
  options.port = 0;
  options.model_name = "nano";
  options.quiet = true;
  options.batch.streams = 4;
  options.max_body = 1 << 20;
  options.drain_seconds = 20;
  return options;
}

class RunningServer {
 public:
  explicit RunningServer(const ServerOptions& options = Quiet()) {
    Result<std::unique_ptr<Server>> server = Server::Create(NanoModel(), options);
    EXPECT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    thread_ = std::thread([this] { server_->Run(); });
    for (int i = 0; i < 500; ++i) {
      if (const auto ready = Client().Get("/ready"); ready && ready->status == 200) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  ~RunningServer() { Stop(); }
  void Stop() {
    if (!thread_.joinable()) return;
    server_->Drain();
    thread_.join();
  }
  int port() const { return server_->port(); }
  Server& server() { return *server_; }
  httplib::Client Client() const {
    httplib::Client client("127.0.0.1", server_->port());
    client.set_read_timeout(60);
    return client;
  }
  httplib::Result Post(const Json& body) const {
    return Client().Post(kChat, body.dump(), "application/json");
  }
  httplib::Result PostText(const std::string& body) const {
    return Client().Post(kChat, body, "application/json");
  }

 private:
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

// A connection without a library's manners.
class RawClient {
 public:
  explicit RawClient(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~RawClient() { Close(); }
  void Close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  bool Send(const std::string& text) {
    return ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  // What comes until `wanted` is in it, or the end.
  std::string Read(const std::string& wanted = "\n\n\n", int milliseconds = 20'000) {
    std::string text;
    char buffer[4096];
    pollfd entry{socket_, POLLIN, 0};
    while (text.find(wanted) == std::string::npos && ::poll(&entry, 1, milliseconds) > 0) {
      const ssize_t n = ::recv(socket_, buffer, sizeof(buffer), 0);
      if (n <= 0) break;
      text.append(buffer, static_cast<size_t>(n));
    }
    return text;
  }

 private:
  int socket_;
};

std::string PostHead(size_t length) {
  return "POST " + std::string(kChat) + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(length) +
         "\r\n\r\n";
}

std::string Error(const httplib::Result& response, int status) {
  if (!response) return "no response";
  EXPECT_EQ(response->status, status) << response->body;
  const Json json = Json::parse(response->body, nullptr, false);
  EXPECT_TRUE(json.is_object() && json.contains("error") && json["error"].contains("type")) << response->body;
  return json.is_object() ? json["error"].value("message", "") : "";
}

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
  const std::string metrics = client.Get("/metrics")->body;
  for (const char* name : {"mobilevlm_queue_length 0", "mobilevlm_time_to_first_token_seconds_bucket",
                           "mobilevlm_image_seconds_count", "mobilevlm_memory_bytes{kind=\"resident\"}",
                           "mobilevlm_requests_total{outcome=\"answered\"} 1",
                           "mobilevlm_responses_total{path=\"/v1/chat/completions\",status=\"200\"} 1",
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
  for (int i = 0; i < 1600 && chunked.Send(chunk); ++i) {
    pollfd entry{};
    (void)entry;
  }
  // And really sent: the client still reads its answer.
  EXPECT_THAT(Error(server.PostText(std::string(100'000'000, ' ')), 413), HasSubstr("larger than"));
  // A header that never ends.
  RawClient header(server.port());
  header.Send("GET /health HTTP/1.1\r\n");
  bool taken = true;
  for (int i = 0; i < 100 && taken; ++i)
    taken = header.Send("X-" + std::to_string(i) + ": " + std::string(1000, 'x') + "\r\n");
  EXPECT_THAT(header.Read(), Not(HasSubstr("200 OK")));
  EXPECT_EQ(server.Post(Ask("Still there?"))->status, 200);
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

// Two streams are busy, two requests wait; the next one is told when to come again.
TEST(Server, AFullQueueSaysWhenToComeAgain) {
  ServerOptions options = Quiet();
  options.batch.streams = 1;
  options.queue = 1;
  const RunningServer server(options);
  Json json = Ask("Talk.");
  json["max_tokens"] = 1500;
  json["temperature"] = 2.0;
  std::vector<std::unique_ptr<RawClient>> busy;
  for (int i = 0; i < 2; ++i) {
    busy.push_back(std::make_unique<RawClient>(server.port()));
    busy.back()->Send(PostHead(json.dump().size()) + json.dump());
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  const httplib::Result refused = server.Post(json);
  EXPECT_THAT(Error(refused, 429), HasSubstr("the queue is full"));
  EXPECT_GE(std::stoi(refused->get_header_value("Retry-After")), 1);
  // Clients that go away free their places.
  busy.clear();
  int status = 0;
  for (int i = 0; i < 100 && status != 200; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    status = server.Post(Ask("Now?"))->status;
  }
  EXPECT_EQ(status, 200);
  EXPECT_THAT(server.Client().Get("/metrics")->body,
              HasSubstr("mobilevlm_requests_total{outcome=\"cancelled\"} 2"));
}

TEST(Server, ADeadlineEndsWhatTakesTooLong) {
  ServerOptions options = Quiet();
  options.batch.streams = 1;
  options.request_seconds = 1;
  options.most_tokens = 2000;
  const RunningServer server(options);
  Json json = Ask("Talk.");
  json["max_tokens"] = 1900;
  json["temperature"] = 2.0;
  json["response_format"] = {
      {"type", "json_schema"},
      {"json_schema", {{"schema", {{"type", "array"}, {"items", {{"const", 1}}}, {"minItems", 900}}}}}};
  std::vector<std::future<int>> statuses;
  for (int i = 0; i < 4; ++i) {
    statuses.push_back(std::async(std::launch::async, [&] { return server.Post(json)->status; }));
  }
  int late = 0;
  for (auto& status : statuses) late += status.get() == 503;
  EXPECT_GE(late, 1);
  EXPECT_EQ(server.Post(Ask("Now?"))->status, 200);
}

TEST(Server, DrainAnswersWhatItAccepted) {
  RunningServer server;
  Json json = Ask("Talk.");
  json["max_tokens"] = 60;
  json["temperature"] = 1.5;
  std::vector<std::future<int>> statuses;
  for (int i = 0; i < 8; ++i) {  // twice the streams
    json["seed"] = i;
    statuses.push_back(std::async(std::launch::async, [&server, json] {
      const httplib::Result response = server.Post(json);
      return response ? response->status : 0;
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
