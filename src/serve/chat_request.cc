#include "serve/chat_request.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/json_depth.h"

// Returns the refusal to the caller, or assigns.
#define SERVE_TRY(target, expression)                                                      \
  do {                                                                                     \
    auto serve_result = (expression);                                                      \
    if (!serve_result) return ::tl::unexpected<ApiError>(std::move(serve_result).error()); \
    target = std::move(*serve_result);                                                     \
  } while (false)

namespace mobilevlm::serve {
namespace {

using Json = nlohmann::ordered_json;  // a schema keeps the order of its properties

const std::set<std::string_view> kIgnored = {"user",
                                             "metadata",
                                             "store",
                                             "service_tier",
                                             "parallel_tool_calls",
                                             "verbosity",
                                             "safety_identifier",
                                             "prompt_cache_key",
                                             "reasoning_effort"};
// Arguments that only these values leave without effect.
const std::set<std::string_view> kZeroOnly = {"presence_penalty", "frequency_penalty"};
const std::set<std::string_view> kEmptyOnly = {"tools",      "functions", "logit_bias",
                                               "prediction", "audio",     "web_search_options"};
const std::set<std::string_view> kNoneOnly = {"tool_choice", "function_call"};
const std::set<std::string_view> kKnown = {"model",
                                           "messages",
                                           "stream",
                                           "stream_options",
                                           "max_tokens",
                                           "max_completion_tokens",
                                           "top_p",
                                           "temperature",
                                           "seed",
                                           "stop",
                                           "n",
                                           "logprobs",
                                           "top_k",
                                           "min_p",
                                           "top_logprobs",
                                           "response_format",
                                           "repetition_penalty",
                                           "modalities"};

const Json* Find(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

// Optional arguments of one type; a missing or null one leaves `value` as it is.
ApiResult<bool> Bool(const Json& body, const char* name, bool value) {
  const Json* found = Find(body, name);
  if (found == nullptr) return value;
  if (!found->is_boolean())
    return BadArgument(name, "{}: wanted true or false, found {}", name, found->type_name());
  return found->get<bool>();
}

ApiResult<float> Number(const Json& body, const char* name, float value, double least, double most) {
  const Json* found = Find(body, name);
  if (found == nullptr) return value;
  if (!found->is_number())
    return BadArgument(name, "{}: wanted a number, found {}", name, found->type_name());
  const double number = found->get<double>();
  if (!(number >= least && number <= most)) {
    return BadArgument(name, "{}: wanted {} to {}, found {}", name, least, most, number);
  }
  return static_cast<float>(number);
}

ApiResult<int> Whole(const Json& body, const char* name, int value, int least, int most) {
  const Json* found = Find(body, name);
  if (found == nullptr) return value;
  if (!found->is_number_integer()) {
    return BadArgument(name, "{}: wanted a whole number, found {}", name,
                       found->is_number() ? found->dump() : found->type_name());
  }
  const bool large = found->is_number_unsigned() && found->get<uint64_t>() > uint64_t{INT64_MAX};
  const int64_t number = large ? INT64_MAX : found->get<int64_t>();
  if (number < least || number > most) {
    return BadArgument(name, "{}: wanted {} to {}, found {}", name, least, most, found->dump());
  }
  return static_cast<int>(number);
}

// One message's content while its parts are read: texts, and pictures between them.
class ContentBuilder {
 public:
  void AddText(const std::string& text) {
    parts_.push_back({false, text});
    texts_ += !text.empty();
  }
  void AddImage(std::string url) {
    parts_.push_back({true, ""});
    images_.push_back(std::move(url));
  }

  // Pictures in front of or behind all text go in front, as the models were trained; those between texts keep
  // their places.
  void Finish(ChatMessage& message) {
    bool text_before = false;
    bool between = false;
    size_t texts_left = texts_;
    for (const Part& part : parts_) {
      if (part.is_image) {
        between = between || (text_before && texts_left > 0);
      } else if (!part.text.empty()) {
        text_before = true;
        --texts_left;
      }
    }
    for (const Part& part : parts_) {
      if (part.is_image && !between) continue;
      if (!message.text.empty()) message.text += '\n';
      message.text += part.is_image ? "<image>" : part.text;
    }
    message.images = std::move(images_);
  }

 private:
  struct Part {
    bool is_image;
    std::string text;
  };
  std::vector<Part> parts_;
  std::vector<std::string> images_;
  size_t texts_ = 0;
};

ApiResult<std::string> ImageUrl(const Json& part, const std::string& at) {
  const Json* image = Find(part, "image_url");
  const Json* url = image != nullptr && image->is_object() ? Find(*image, "url") : image;
  if (url == nullptr || !url->is_string()) {
    return BadArgument(at, "{}: wanted {{\"image_url\": {{\"url\": \"data:image/png;base64,...\"}}}}", at);
  }
  return url->get<std::string>();
}

ApiResult<ChatMessage> Content(const Json& content, Role role, const std::string& at) {
  ChatMessage message;
  message.role = role;
  if (content.is_string()) {
    message.text = content.get<std::string>();
    return message;
  }
  if (!content.is_array()) {
    return BadArgument(at, "{}: wanted a string or a list of parts, found {}", at, content.type_name());
  }
  ContentBuilder builder;
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string here = fmt::format("{}[{}]", at, i);
    const Json* type = content[i].is_object() ? Find(content[i], "type") : nullptr;
    if (type == nullptr || !type->is_string())
      return BadArgument(here, "{}: wanted a part with a type", here);
    if (*type == "text") {
      const Json* text = Find(content[i], "text");
      if (text == nullptr || !text->is_string())
        return BadArgument(here, "{}: wanted a string \"text\"", here);
      builder.AddText(text->get<std::string>());
    } else if (*type == "image_url" && role == Role::kUser) {
      std::string url;
      SERVE_TRY(url, ImageUrl(content[i], here));
      builder.AddImage(std::move(url));
    } else {
      return BadArgument(here, "{}: parts of type {} are not supported here", here, type->get<std::string>());
    }
  }
  builder.Finish(message);
  return message;
}

ApiResult<Role> ParseRole(const Json& message, const std::string& at) {
  const Json* role = message.is_object() ? Find(message, "role") : nullptr;
  if (role == nullptr || !role->is_string()) return BadArgument(at, "{}: wanted a message with a role", at);
  if (*role == "user") return Role::kUser;
  if (*role == "assistant") return Role::kAssistant;
  if (*role == "system" || *role == "developer") return Role::kSystem;
  return BadArgument(at, "{}: role {} is not supported; wanted system, user or assistant", at, role->dump());
}

ApiResult<std::vector<ChatMessage>> Messages(const Json& body, const ChatLimits& limits) {
  const Json* messages = Find(body, "messages");
  if (messages == nullptr) return BadArgument("messages", "messages is missing");
  if (!messages->is_array() || messages->empty()) {
    return BadArgument("messages", "messages: wanted a list of at least one message");
  }
  if (messages->size() > limits.most_messages) {
    return BadArgument("messages", "{} messages, wanted at most {}", messages->size(), limits.most_messages);
  }
  std::vector<ChatMessage> result;
  size_t images = 0;
  for (size_t i = 0; i < messages->size(); ++i) {
    const Json& message = (*messages)[i];
    const std::string at = fmt::format("messages[{}]", i);
    Role role;
    SERVE_TRY(role, ParseRole(message, at));
    if (const Json* calls = Find(message, "tool_calls"); calls != nullptr && !calls->empty()) {
      return BadArgument(at, "{}: tool calls are not supported", at);
    }
    const Json* content = Find(message, "content");
    if (content == nullptr) return BadArgument(at, "{}: content is missing", at);
    SERVE_TRY(result.emplace_back(), Content(*content, role, at + ".content"));
    images += result.back().images.size();
  }
  if (images > limits.most_images) {
    return BadArgument("messages", "{} pictures, wanted at most {}", images, limits.most_images);
  }
  return result;
}

ApiResult<std::vector<std::string>> Stops(const Json& body, const ChatLimits& limits) {
  std::vector<std::string> stops;
  const Json* stop = Find(body, "stop");
  if (stop == nullptr) return stops;
  for (const Json& one : stop->is_array() ? *stop : Json::array({*stop})) {
    if (!one.is_string() || one.get_ref<const std::string&>().empty()) {
      return BadArgument("stop", "stop: wanted a string or a list of strings, none of them empty");
    }
    stops.push_back(one.get<std::string>());
    if (stops.back().size() > limits.longest_stop) {
      return BadArgument("stop", "stop: wanted at most {} bytes, found {}", limits.longest_stop,
                         stops.back().size());
    }
  }
  if (stops.size() > limits.most_stops) {
    return BadArgument("stop", "stop: wanted at most {} strings, found {}", limits.most_stops, stops.size());
  }
  return stops;
}

// The JSON Schema of response_format; empty: free text.
ApiResult<std::string> ResponseSchema(const Json& body) {
  constexpr const char* kName = "response_format";
  const Json* format = Find(body, kName);
  if (format == nullptr) return std::string();
  const Json* type = format->is_object() ? Find(*format, "type") : nullptr;
  if (type == nullptr || !type->is_string())
    return BadArgument(kName, "{}: wanted an object with a type", kName);
  if (*type == "text") return std::string();
  if (*type == "json_object") return std::string(R"({"type": "object"})");
  if (*type != "json_schema") {
    return BadArgument(kName, "{}: wanted text, json_object or json_schema, found {}", kName, type->dump());
  }
  const Json* wrapper = Find(*format, "json_schema");
  const Json* schema = wrapper != nullptr && wrapper->is_object() ? Find(*wrapper, "schema") : nullptr;
  if (schema == nullptr || !schema->is_object()) {
    return BadArgument(kName, "{}: wanted an object json_schema.schema", kName);
  }
  return schema->dump();
}

ApiResult<GenerateOptions> Options(const Json& body, const ChatLimits& limits) {
  GenerateOptions options;
  constexpr int kMost = std::numeric_limits<int>::max();
  SERVE_TRY(options.max_tokens, Whole(body, "max_tokens", 0, 1, kMost));
  SERVE_TRY(options.max_tokens, Whole(body, "max_completion_tokens", options.max_tokens, 1, kMost));
  SERVE_TRY(options.temperature, Number(body, "temperature", options.temperature, 0, 2));
  SERVE_TRY(options.top_p, Number(body, "top_p", options.top_p, 0, 1));
  options.top_p = std::max(options.top_p, 1e-6f);  // 0 asks for the likeliest alone
  SERVE_TRY(options.min_p, Number(body, "min_p", options.min_p, 0, 1));
  SERVE_TRY(options.repetition_penalty,
            Number(body, "repetition_penalty", options.repetition_penalty, 0.01, 100));
  SERVE_TRY(options.top_k, Whole(body, "top_k", 0, 0, kMost));
  SERVE_TRY(options.stop, Stops(body, limits));
  bool logprobs = false;
  SERVE_TRY(logprobs, Bool(body, "logprobs", false));
  int top = 0;
  SERVE_TRY(top, Whole(body, "top_logprobs", 0, 0, GenerateOptions::kMostLogprobs));
  if (top > 0 && !logprobs) return BadArgument("top_logprobs", "top_logprobs needs logprobs to be true");
  if (logprobs) options.logprobs = top;
  SERVE_TRY(options.json_schema, ResponseSchema(body));
  if (const Json* seed = Find(body, "seed")) {
    if (!seed->is_number_integer()) return BadArgument("seed", "seed: wanted a whole number");
    options.seed =
        seed->is_number_unsigned() ? seed->get<uint64_t>() : static_cast<uint64_t>(seed->get<int64_t>());
  }
  return options;
}

// Arguments that nobody may expect to have an effect.
std::optional<ApiError> Unsupported(const Json& body) {
  for (const auto& [name, value] : body.items()) {
    if (kKnown.contains(name) || kIgnored.contains(name) || value.is_null()) continue;
    const bool harmless = (kZeroOnly.contains(name) && value.is_number() && value == 0) ||
                          (kEmptyOnly.contains(name) && value.is_structured() && value.empty()) ||
                          (kNoneOnly.contains(name) && (value == "none" || value == "auto"));
    if (harmless) continue;
    const bool known = kZeroOnly.contains(name) || kEmptyOnly.contains(name) || kNoneOnly.contains(name);
    std::string message = known ? name + " is not supported" : "unknown argument: " + name.substr(0, 100);
    return ApiError{.message = std::move(message),
                    .param = name.substr(0, 100),
                    .code = known ? "unsupported_parameter" : "unknown_parameter"};
  }
  return std::nullopt;
}

}  // namespace

ApiResult<ChatRequest> ParseChatRequest(std::string_view text, const ChatLimits& limits) {
  if (JsonDepth(text) > limits.deepest_json) {
    return BadArgument("", "the body is nested deeper than {}", limits.deepest_json);
  }
  const Json body = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (body.is_discarded()) return BadArgument("", "the body is not valid JSON");
  if (!body.is_object()) return BadArgument("", "wanted a JSON object, found {}", body.type_name());
  if (std::optional<ApiError> error = Unsupported(body)) return tl::unexpected<ApiError>(std::move(*error));

  ChatRequest request;
  const Json* model = Find(body, "model");
  if (model == nullptr) return BadArgument("model", "model is missing");
  if (!model->is_string())
    return BadArgument("model", "model: wanted a string, found {}", model->type_name());
  request.model = model->get<std::string>();
  SERVE_TRY(request.messages, Messages(body, limits));
  SERVE_TRY(request.options, Options(body, limits));
  request.has_seed = Find(body, "seed") != nullptr;
  if (const Json* n = Find(body, "n"); n != nullptr && *n != 1)
    return BadArgument("n", "n: only 1 is supported");
  if (const Json* kinds = Find(body, "modalities"); kinds != nullptr && *kinds != Json::array({"text"})) {
    return BadArgument("modalities", "modalities: only [\"text\"] is supported");
  }
  SERVE_TRY(request.stream, Bool(body, "stream", false));
  if (const Json* stream_options = Find(body, "stream_options")) {
    if (!stream_options->is_object())
      return BadArgument("stream_options", "stream_options: wanted an object");
    if (!request.stream) return BadArgument("stream_options", "stream_options needs stream to be true");
    SERVE_TRY(request.include_usage, Bool(*stream_options, "include_usage", false));
  }
  return request;
}

}  // namespace mobilevlm::serve
