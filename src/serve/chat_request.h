// POST /v1/chat/completions as JSON -> what is asked. Pure: no file is opened, no picture decoded.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mobilevlm/batch.h"
#include "serve/api_error.h"

namespace mobilevlm::serve {

struct ChatMessage {
  Role role = Role::kUser;
  std::string text;                 // "<image>" marks where a picture stands between texts
  std::vector<std::string> images;  // URLs as given
};

struct ChatRequest {
  std::string model;
  std::vector<ChatMessage> messages;
  GenerateOptions options;  // max_tokens 0: not given
  bool has_seed = false;
  bool stream = false;
  bool include_usage = false;
};

// Limits of one request.
struct ChatLimits {
  size_t deepest_json = 64;
  size_t most_messages = 256;
  size_t most_images = 16;
  size_t most_stops = 4;
  size_t longest_stop = 256;  // bytes
};

// An unknown argument is refused, as are those whose effect is not offered (tools, n > 1, penalties) unless
// they ask for nothing; a few that have no effect anywhere else either (user, metadata, store, ...) are
// ignored.
ApiResult<ChatRequest> ParseChatRequest(std::string_view body, const ChatLimits& limits = {});

}  // namespace mobilevlm::serve
