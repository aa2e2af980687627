#include "serve/request_log.h"

#include <fmt/chrono.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <nlohmann/json.hpp>

namespace mobilevlm::serve {
namespace {

using Json = nlohmann::ordered_json;

// "2026-01-31T12:00:00.123Z"
std::string Timestamp() {
  const auto now = std::chrono::system_clock::now();
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(now)),
                     ms);
}

std::string Line(const char* level, std::string_view message, const Json& fields) {
  Json line{{"time", Timestamp()}, {"level", level}, {"message", message}};
  if (fields.is_object()) line.update(fields);
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

// Not registered with spdlog: two servers in one process do not share it.
RequestLog::RequestLog(bool quiet)
    : logger_(std::make_shared<spdlog::logger>("serve", std::make_shared<spdlog::sinks::stderr_sink_mt>())) {
  logger_->set_pattern("%v");
  logger_->set_level(quiet ? spdlog::level::off : spdlog::level::info);
}
RequestLog::~RequestLog() = default;

void RequestLog::Info(std::string_view message, const Json& fields) {
  if (logger_->should_log(spdlog::level::info)) logger_->info(Line("info", message, fields));
}

void RequestLog::Warn(std::string_view message, const Json& fields) {
  if (logger_->should_log(spdlog::level::warn)) logger_->warn(Line("warn", message, fields));
}

}  // namespace mobilevlm::serve
