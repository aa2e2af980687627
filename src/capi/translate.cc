#include "capi/translate.h"

#include "base/result.h"

namespace mobilevlm::capi {
namespace {

constexpr int kMostSpeculated = 16;

std::string OrEmpty(const char* text) { return text == nullptr ? "" : text; }

// Zero is "not given" where the C++ default is another number.
template <class T>
void SetIfGiven(T& target, T value) {
  if (value != T{}) target = value;
}

}  // namespace

Result<LoadOptions> Translate(const mobilevlm_load_options& options) {
  LoadOptions load;
  load.text = OrEmpty(options.text);
  load.mmproj = OrEmpty(options.mmproj);
  if (load.text.empty()) return Fail("load options: text, the GGUF file of the language model, is missing");
  if (load.mmproj.empty()) return Fail("load options: mmproj, the GGUF file of the vision tower, is missing");
  load.threads = options.threads;
  load.context = options.context;
  switch (options.kv) {
    case MOBILEVLM_KV_F16:
      load.kv = KvType::kF16;
      break;
    case MOBILEVLM_KV_F32:
      load.kv = KvType::kF32;
      break;
    case MOBILEVLM_KV_Q8_0:
      load.kv = KvType::kQ8_0;
      break;
    default:
      return Fail("load options: kv: wanted a mobilevlm_kv_type, found {}", options.kv);
  }
  load.float_activations = options.float_activations != 0;
  load.isa = OrEmpty(options.isa);
  load.memory_limit = options.memory_limit;
  return load;
}

Result<SessionOptions> Translate(const mobilevlm_session_options& options) {
  SessionOptions session;
  if (options.chat_template != MOBILEVLM_TEMPLATE_V1 && options.chat_template != MOBILEVLM_TEMPLATE_PLAIN) {
    return Fail("session options: chat_template: wanted a mobilevlm_template, found {}",
                options.chat_template);
  }
  if (options.chat_template == MOBILEVLM_TEMPLATE_PLAIN) {
    session.chat_template = PromptTemplate::kPlain;
  }
  session.system = OrEmpty(options.system);
  return session;
}

Result<GenerateOptions> Translate(const mobilevlm_ask_options& options) {
  GenerateOptions generate;
  SetIfGiven(generate.max_tokens, options.max_tokens);
  SetIfGiven(generate.top_p, options.top_p);
  SetIfGiven(generate.repetition_penalty, options.repetition_penalty);
  generate.temperature = options.temperature;
  generate.top_k = options.top_k;
  generate.min_p = options.min_p;
  generate.seed = options.seed;
  if (options.stop == nullptr && options.stop_count > 0) {
    return Fail("ask options: stop_count is {}, stop is NULL", options.stop_count);
  }
  for (size_t i = 0; i < options.stop_count; ++i) {
    if (options.stop[i] == nullptr) return Fail("ask options: stop[{}] is NULL", i);
    generate.stop.emplace_back(options.stop[i]);
  }
  generate.json_schema = OrEmpty(options.json_schema);
  constexpr int kMostLogprobs = GenerateOptions::kMostLogprobs;
  if (options.top_logprobs < 0 || options.top_logprobs > kMostLogprobs) {
    return Fail("ask options: top_logprobs: wanted 0 to {}, found {}", kMostLogprobs, options.top_logprobs);
  }
  if (options.logprobs != 0) {
    generate.logprobs = options.top_logprobs;
  } else if (options.top_logprobs != 0) {
    return Fail("ask options: top_logprobs is {}, logprobs is 0", options.top_logprobs);
  }
  if (options.speculate < MOBILEVLM_SPECULATE_OFF || options.speculate > kMostSpeculated) {
    return Fail("ask options: speculate: wanted -1 (off), 0 (auto) or 1 to {}, found {}", kMostSpeculated,
                options.speculate);
  }
  if (options.speculate == MOBILEVLM_SPECULATE_OFF) {
    generate.speculate = 0;
  } else {
    SetIfGiven(generate.speculate, options.speculate);
  }
  return generate;
}

mobilevlm_model_info Translate(const ModelInfo& model) {
  mobilevlm_model_info info = MOBILEVLM_MODEL_INFO_INIT;
  info.text_path = model.text_path.c_str();
  info.mmproj_path = model.mmproj_path.c_str();
  info.projector = model.projector.c_str();
  info.isa = model.isa.c_str();
  info.threads = model.threads;
  info.image_size = model.image_size;
  info.visual_tokens = model.visual_tokens;
  info.vision_layers = model.vision_layers;
  info.layers = model.layers;
  info.hidden = model.hidden;
  info.heads = model.heads;
  info.vocab = model.vocab;
  info.context = model.context;
  info.weights_bytes = model.memory.weights;
  info.kv_cache_bytes = model.memory.kv_cache;
  info.activations_bytes = model.memory.activations;
  info.load_ms = model.load_ms;
  return info;
}

mobilevlm_stats Translate(const Stats& stats) {
  mobilevlm_stats result = MOBILEVLM_STATS_INIT;
  result.image_ms = stats.image_ms;
  result.prompt_ms = stats.prompt_ms;
  result.generate_ms = stats.generate_ms;
  result.images = stats.images;
  result.prompt_positions = stats.prompt_positions;
  result.reused_positions = stats.reused_positions;
  result.generated = stats.generated;
  result.drafted = stats.drafted;
  result.accepted = stats.accepted;
  return result;
}

mobilevlm_stop_reason Translate(StopReason reason) {
  switch (reason) {
    case StopReason::kEos:
      return MOBILEVLM_STOP_EOS;
    case StopReason::kStopString:
      return MOBILEVLM_STOP_STRING;
    case StopReason::kMaxTokens:
      return MOBILEVLM_STOP_MAX_TOKENS;
    case StopReason::kContextFull:
      return MOBILEVLM_STOP_CONTEXT_FULL;
    case StopReason::kCancelled:
      break;
  }
  return MOBILEVLM_STOP_CANCELLED;
}

}  // namespace mobilevlm::capi
