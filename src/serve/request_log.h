// Structured logs: one JSON object per line on standard error. What was asked and answered is left out unless
// the operator wants it.
//
// Thread contract: calls from several threads are safe.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace spdlog {
class logger;
}

namespace mobilevlm::serve {

class RequestLog {
 public:
  explicit RequestLog(bool quiet = false);
  ~RequestLog();

  // `fields` is an object; time, level and message come first.
  void Info(std::string_view message, const nlohmann::ordered_json& fields);
  void Warn(std::string_view message, const nlohmann::ordered_json& fields);

 private:
  std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace mobilevlm::serve
