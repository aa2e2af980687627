#include "serve/server.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <condition_variable>
#include <ctime>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "serve/api_keys.h"
#include "serve/chat_endpoint.h"
#include "serve/chat_response.h"
#include "serve/http_edge.h"
#include "serve/metrics.h"
#include "serve/request_log.h"
#include "serve/scheduler.h"
#include "serve/web/assets.h"

namespace mobilevlm::serve {
namespace {

using httplib::Request;
using httplib::Response;
using Handled = httplib::Server::HandlerResponse;

constexpr char kChatPath[] = "/v1/chat/completions";
constexpr char kModelPath[] = "/v1/models/";
constexpr size_t kSpareConnections = 64;       // health checks, the page, clients between two requests
constexpr std::chrono::seconds kLastWords{3};  // for answers to end that were given up

const Asset* FindAsset(const std::string& path) {
  for (const Asset& asset : Assets()) {
    if (asset.path == path) return &asset;
  }
  return nullptr;
}

// What a request is counted under; paths of strangers must not become names of metrics.
std::string CountedPath(const std::string& path) {
  for (const char* known : {kChatPath, "/v1/models", "/health", "/ready", "/metrics", "/"}) {
    if (path == known) return known;
  }
  return FindAsset(path) != nullptr ? "/page" : "other";
}

Status CheckServerOptions(const ServerOptions& options) {
  if (options.port < 0 || options.port > 65535)
    return Fail("the port must be in 0..65535, found {}", options.port);
  if (!IsLoopback(options.host) && options.api_keys.empty() && !options.allow_no_key) {
    return Fail(
        "{} can be reached from other machines: wanted --api-key or --api-key-file (or --allow-no-key, if "
        "everybody may ask)",
        options.host);
  }
  if (options.model_name.empty()) return Fail("the model has no name");
  return {};
}

}  // namespace

bool IsLoopback(const std::string& host) {
  in_addr v4{};
  in6_addr v6{};
  if (host == "localhost") return true;
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  return ::inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

class Server::Impl {
 public:
  Impl(const Model& model, const ServerOptions& options, ApiKeys keys)
      : model_(model),
        options_(options),
        keys_(std::move(keys)),
        log_(options.quiet),
        edge_(options.connection,
              static_cast<size_t>(options.batch.streams) + options.queue + kSpareConnections) {}

  Status Start() {
    MVLM_ASSIGN(
        scheduler_,
        Scheduler::Create(model_,
                          {.batch = options_.batch, .queue = options_.queue, .preparing = options_.preparing},
                          metrics_));
    chat_ = std::make_unique<ChatEndpoint>(options_, *scheduler_, log_);
    SetRoutes();
    MVLM_ASSIGN(port_, edge_.Bind(options_.host, options_.port));
    if (::geteuid() == 0) log_.Warn("running as root; an unprivileged user is enough", {});
    return {};
  }

  int port() const { return port_; }

  Status Run() {
    Status listened = edge_.Listen();
    scheduler_->Finish();
    {
      const std::lock_guard lock(mutex_);
      finished_ = true;
    }
    changed_.notify_all();
    return listened;
  }

  void Drain() {
    draining_ = true;
    log_.Info("draining", {});
    std::unique_lock lock(mutex_);
    const auto finished = [this] { return finished_; };
    changed_.wait_for(lock, std::chrono::seconds(options_.drain_delay_seconds), finished);
    // The library cannot be stopped before it listens.
    while (!finished_ && !edge_.is_running()) changed_.wait_for(lock, std::chrono::milliseconds(10));
    if (finished_) return;
    edge_.StopAccepting();
    if (changed_.wait_for(lock, std::chrono::seconds(options_.drain_seconds), finished)) return;
    log_.Warn("giving up on answers that take too long", {});
    scheduler_->CancelAll();
    if (changed_.wait_for(lock, kLastWords, finished)) return;
    log_.Warn("cutting off clients that take too long", {});
    edge_.CutOff();
    changed_.wait(lock, finished);
  }

 private:
  void SetRoutes() {
    edge_.set_pre_routing_handler([this](const Request& q, Response& r) { return BeforeRouting(q, r); });
    edge_.set_exception_handler([](const Request&, Response& r, std::exception_ptr) {
      Refuse({.status = 500, .message = "internal error", .type = "server_error"}, r);
      CloseAfterResponse();
    });
    edge_.set_error_handler([](const Request& q, Response& r) {
      if (!r.body.empty() || r.status == 416) return;  // 416: the ranges before a wrong one are still served
      const int status = r.status;
      Refuse({.status = status,
              .message = status == 404 ? "there is no " + q.path.substr(0, 100)
                                       : "the request cannot be understood"},
             r);
    });
    edge_.set_logger([this](const Request& q, const Response& r) {
      metrics_.CountResponse(CountedPath(q.path), r.status);
    });
    edge_.Post(kChatPath, [this](const Request& q, Response& r, const httplib::ContentReader& reader) {
      chat_->Handle(ClientOf(q), q, r, reader);
    });
    edge_.Get("/v1/models", [this](const Request&, Response& r) {
      r.set_content(ModelsJson(options_.model_name, created_), "application/json");
    });
    edge_.Get("/health",
              [](const Request&, Response& r) { r.set_content("{\"status\":\"ok\"}", "application/json"); });
    edge_.Get("/ready", [this](const Request&, Response& r) {
      r.status = draining_ ? 503 : 200;
      r.set_content(draining_ ? "{\"status\":\"draining\"}" : "{\"status\":\"ready\"}", "application/json");
    });
    edge_.Get("/metrics", [this](const Request&, Response& r) {
      const Scheduler::State state = scheduler_->Describe();
      r.set_content(metrics_.Render(state.batch, state.queue_length, state.free_streams),
                    "text/plain; version=0.0.4; charset=utf-8");
    });
  }

  // Everything that is decided before a byte of the body is read.
  Handled BeforeRouting(const Request& request, Response& response) {
    response.set_header("X-Content-Type-Options", "nosniff");
    if (const ApiResult<void> framing = CheckFraming(request); !framing) {
      Refuse(framing.error(), response);
      return Handled::Handled;
    }
    const bool is_api = request.path.starts_with("/v1/");
    if (is_api && !options_.cors_origin.empty()) {
      response.set_header("Access-Control-Allow-Origin", options_.cors_origin);
      response.set_header("Vary", "Origin");
      if (request.method == "OPTIONS") {
        response.set_header("Access-Control-Allow-Headers", "Authorization, Content-Type");
        response.set_header("Access-Control-Allow-Methods", "GET, POST");
        response.status = 204;
        return Handled::Handled;
      }
    }
    if (is_api && !keys_.empty() && keys_.Match(request.get_header_value("Authorization")) < 0) {
      Refuse({.status = 401,
              .message = "wanted a valid API key as \"Authorization: Bearer KEY\"",
              .code = "invalid_api_key"},
             response);
      response.set_header("WWW-Authenticate", "Bearer");
      return Handled::Handled;
    }
    const bool reads = request.method == "GET" || request.method == "HEAD";
    if (!reads && !(request.method == "POST" && request.path == kChatPath)) {
      Refuse(
          {.status = request.path == kChatPath || CountedPath(request.path) != "other" ? 405 : 404,
           .message = fmt::format("{} is not possible on {}", request.method, request.path.substr(0, 100))},
          response);
      return Handled::Handled;
    }
    if (reads && request.path == kChatPath) {
      Refuse({.status = 405, .message = "wanted POST"}, response);
      response.set_header("Allow", "POST");
      return Handled::Handled;
    }
    // By hand: the library's patterns are std::regex, which walks long paths by recursion.
    if (request.path.starts_with(kModelPath)) {
      SendModel(request.path.substr(sizeof(kModelPath) - 1), response);
      return Handled::Handled;
    }
    return reads && SendAsset(request, response) ? Handled::Handled : Handled::Unhandled;
  }

  void SendModel(const std::string& name, Response& response) const {
    if (name == options_.model_name) {
      response.status = 200;
      return response.set_content(ModelJson(name, created_), "application/json");
    }
    Refuse({.status = 404, .message = "there is no such model", .param = "model", .code = "model_not_found"},
           response);
  }

  static bool SendAsset(const Request& request, Response& response) {
    const Asset* asset = FindAsset(request.path);
    if (asset == nullptr) return false;
    response.set_header("Content-Security-Policy", std::string(kContentSecurityPolicy));
    response.set_header("Referrer-Policy", "no-referrer");
    response.set_header("Cache-Control", "no-cache");
    response.set_header("ETag", std::string(asset->etag));
    if (request.get_header_value("If-None-Match") == asset->etag) {
      response.status = 304;
    } else {
      response.status = 200;
      response.set_content(asset->body.data(), asset->body.size(), std::string(asset->content_type));
    }
    return true;
  }

  std::string ClientOf(const Request& request) const {
    if (keys_.empty()) return request.remote_addr;
    return fmt::format("key {}", keys_.Match(request.get_header_value("Authorization")) + 1);
  }

  const Model model_;
  const ServerOptions options_;
  const ApiKeys keys_;
  RequestLog log_;
  Metrics metrics_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<ChatEndpoint> chat_;
  HttpEdge edge_;
  const int64_t created_ = static_cast<int64_t>(std::time(nullptr));
  int port_ = 0;
  std::atomic<bool> draining_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool finished_ = false;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::Create(const Model& model, const ServerOptions& options) {
  MVLM_TRY(CheckServerOptions(options));
  MVLM_ASSIGN(ApiKeys keys, ApiKeys::Create(options.api_keys));
  auto impl = std::make_unique<Impl>(model, options, std::move(keys));
  MVLM_TRY(impl->Start());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

int Server::port() const { return impl_->port(); }
Status Server::Run() { return impl_->Run(); }
void Server::Drain() { impl_->Drain(); }

}  // namespace mobilevlm::serve
