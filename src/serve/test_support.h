// A server in this process, and what its tests ask it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>

#include "base/base64.h"
#include "serve/server.h"

namespace mobilevlm::serve {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

inline const std::string kGolden = MOBILEVLM_SOURCE_DIR "/tests/golden/";
inline constexpr char kChat[] = "/v1/chat/completions";

inline const Model& NanoModel() {
  static const Model model = *Model::Load(
      {.text = kGolden + "nano-ldpv2/text.gguf", .mmproj = kGolden + "nano-ldpv2/mmproj.gguf", .threads = 1});
  return model;
}

inline std::string PictureUri() {
  std::ifstream file(kGolden + "image_336.png", std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return "data:image/png;base64," + EncodeBase64(bytes.str());
}

// The head of a PNG that claims to be 60,000 pixels wide and high.
inline std::string PngBombUri() {
  std::string png("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xEA\x60\0\0\xEA\x60\x08\x02\0\0\0", 29);
  png += std::string("\x0F\xB0\xE2\x15", 4) + std::string("\0\0\0\x10IDAT", 8) + std::string(16, '\0');
  return "data:image/png;base64," + EncodeBase64(png);
}

inline Json Ask(const std::string& text) {
  return {{"model", "nano"}, {"max_tokens", 8}, {"messages", {{{"role", "user"}, {"content", text}}}}};
}

inline Json AskAbout(const std::string& url, const std::string& text = "What is this?") {
  Json json = Ask("");
  json["messages"][0]["content"] = {{{"type", "text"}, {"text", text}},
                                    {{"type", "image_url"}, {"image_url", {{"url", url}}}}};
  return json;
}

inline ServerOptions Quiet() {
  ServerOptions options;
  options.port = 0;
  options.model_name = "nano";
  options.quiet = true;
  options.batch.streams = 4;
  options.max_body = 1 << 20;
  options.drain_seconds = 20;
  return options;
}

inline void WaitUntilReady(int port) {
  for (int i = 0; i < 500; ++i) {
    if (const auto ready = httplib::Client("127.0.0.1", port).Get("/ready"); ready && ready->status == 200)
      return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

class RunningServer {
 public:
  explicit RunningServer(const ServerOptions& options = Quiet()) {
    Result<std::unique_ptr<Server>> server = Server::Create(NanoModel(), options);
    EXPECT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    thread_ = std::thread([this] { ended_ = server_->Run(); });
    WaitUntilReady(port());
  }
  ~RunningServer() { Stop(); }
  void Stop() {
    if (!thread_.joinable()) return;
    server_->Drain();
    thread_.join();
  }
  // How it ended, by itself.
  Status WaitForEnd() {
    thread_.join();
    return ended_;
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
  // The metrics as soon as they hold this text, or what they are after five seconds: what a request leaves is
  // counted a moment after its client has the answer, or is gone.
  std::string MetricsWith(const std::string& text) const {
    std::string metrics = Client().Get("/metrics")->body;
    for (int i = 0; i < 500 && metrics.find(text) == std::string::npos; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      metrics = Client().Get("/metrics")->body;
    }
    return metrics;
  }
  httplib::Result PostText(const std::string& body) const {
    return Client().Post(kChat, body, "application/json");
  }

 private:
  std::unique_ptr<Server> server_;
  std::thread thread_;
  Status ended_;
};

inline std::string Error(const httplib::Result& response, int status) {
  if (!response) return "no response";
  EXPECT_EQ(response->status, status) << response->body;
  const Json json = Json::parse(response->body, nullptr, false);
  EXPECT_TRUE(json.is_object() && json.contains("error") && json["error"].contains("type")) << response->body;
  return json.is_object() ? json["error"].value("message", "") : "";
}

}  // namespace mobilevlm::serve
