#include <limits>
#include <nlohmann/json.hpp>

#include "schema/clip_towers.h"
#include "schema/read_config.h"

namespace mobilevlm {
namespace {

using Json = nlohmann::json;

// One JSON object of the file with the name of the place for messages.
class Object {
 public:
  Object(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  bool Has(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }

  Result<int> Int(const char* key, int least, int most) const {
    MVLM_TRY(Require(key));
    const Json& value = json_[key];
    if (!value.is_number_integer()) return Fail("{}: {}: wanted an integer", where_, key);
    const bool huge = value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT32_MAX};
    const int64_t number = huge ? INT64_MAX : value.get<int64_t>();
    if (number < least || number > most) {
      return Fail("{}: {}: wanted {} to {}, found {}", where_, key, least, most, value.dump());
    }
    return static_cast<int>(number);
  }
  Result<int> IntOr(const char* key, int least, int most, int fallback) const {
    return Has(key) ? Int(key, least, most) : Result<int>(fallback);
  }
  Result<float> Float(const char* key, double least, double most) const {
    MVLM_TRY(Require(key));
    const Json& value = json_[key];
    if (!value.is_number()) return Fail("{}: {}: wanted a number", where_, key);
    const double number = value.get<double>();
    if (!(number >= least && number <= most)) {
      return Fail("{}: {}: wanted {} to {}, found {}", where_, key, least, most, number);
    }
    return static_cast<float>(number);
  }
  Result<float> FloatOr(const char* key, double least, double most, float fallback) const {
    return Has(key) ? Float(key, least, most) : Result<float>(fallback);
  }
  Result<std::string> Text(const char* key) const {
    MVLM_TRY(Require(key));
    if (!json_[key].is_string()) return Fail("{}: {}: wanted a string", where_, key);
    return json_[key].get<std::string>();
  }
  Result<std::string> TextOr(const char* key, const char* fallback) const {
    return Has(key) ? Text(key) : Result<std::string>(fallback);
  }
  // The value must be `wanted` where the key is present.
  Status OnlyText(const char* key, const char* wanted) const {
    MVLM_ASSIGN(const std::string found, TextOr(key, wanted));
    if (found == wanted) return {};
    return Fail("{}: {}: wanted \"{}\", found \"{}\"", where_, key, wanted, Printable(found));
  }
  Result<Object> Child(const char* key) const {
    MVLM_TRY(Require(key));
    if (!json_[key].is_object()) return Fail("{}: {}: wanted an object", where_, key);
    return Object(json_[key], where_ + ": " + key);
  }
  bool IsFalseOrAbsent(const char* key) const { return !Has(key) || json_[key] == Json(false); }
  const std::string& where() const { return where_; }

 private:
  Status Require(const char* key) const {
    if (Has(key)) return {};
    return Fail("{}: key {} is missing", where_, key);
  }

  const Json& json_;
  std::string where_;
};

Result<LlmConfig> ParseLlm(const Object& json) {
  LlmConfig config;
  MVLM_ASSIGN(config.hidden, json.Int("hidden_size", 1, 65536));
  MVLM_ASSIGN(config.intermediate, json.Int("intermediate_size", 1, 1 << 20));
  MVLM_ASSIGN(config.layers, json.Int("num_hidden_layers", 1, 1024));
  MVLM_ASSIGN(config.heads, json.Int("num_attention_heads", 1, 1024));
  MVLM_ASSIGN(config.kv_heads, json.IntOr("num_key_value_heads", 1, 1024, config.heads));
  MVLM_ASSIGN(config.vocab, json.Int("vocab_size", 1, 1 << 24));
  MVLM_ASSIGN(config.context, json.Int("max_position_embeddings", 1, 1 << 20));
  MVLM_ASSIGN(config.rms_eps, json.Float("rms_norm_eps", 1e-12, 0.1));
  MVLM_ASSIGN(config.rope_base, json.FloatOr("rope_theta", 1, 1e9, 10000.0f));
  MVLM_TRY(json.OnlyText("hidden_act", "silu"));
  if (json.Has("rope_scaling")) return Fail("{}: rope_scaling: wanted null", json.where());
  if (!json.IsFalseOrAbsent("tie_word_embeddings")) {
    return Fail("{}: tie_word_embeddings: wanted false", json.where());
  }
  config.head_dim = config.hidden / config.heads;
  MVLM_TRY(CheckLlmConfig(config, json.where()));
  return config;
}

// Of a vision_config; all stored layers are used.
Result<VisionConfig> ParseVision(const Object& json) {
  VisionConfig config;
  MVLM_ASSIGN(config.hidden, json.Int("hidden_size", 1, 65536));
  MVLM_ASSIGN(config.intermediate, json.Int("intermediate_size", 1, 1 << 20));
  MVLM_ASSIGN(config.heads, json.Int("num_attention_heads", 1, 1024));
  MVLM_ASSIGN(config.stored_layers, json.Int("num_hidden_layers", 1, 1024));
  MVLM_ASSIGN(config.image_size, json.Int("image_size", 1, 8192));
  MVLM_ASSIGN(config.patch_size, json.Int("patch_size", 1, 1024));
  MVLM_ASSIGN(config.layer_norm_eps, json.FloatOr("layer_norm_eps", 1e-12, 0.1, 1e-5f));
  MVLM_ASSIGN(const std::string activation, json.TextOr("hidden_act", "quick_gelu"));
  if (activation == "quick_gelu") {
    config.activation = VisionActivation::kQuickGelu;
  } else if (activation == "gelu") {
    config.activation = VisionActivation::kGelu;
  } else {
    return Fail("{}: hidden_act: wanted \"quick_gelu\" or \"gelu\", found \"{}\"", json.where(),
                Printable(activation));
  }
  config.used_layers = config.stored_layers;
  MVLM_TRY(CheckVisionConfig(config, json.where()));
  return config;
}

// The tower's numbers from the best source there is.
Result<VisionConfig> FindVision(const Object& root, const TowerHint& hint) {
  if (hint.config) return *hint.config;
  if (root.Has("vision_config")) {
    MVLM_ASSIGN(const Object vision, root.Child("vision_config"));
    return ParseVision(vision);
  }
  MVLM_ASSIGN(const std::string name, root.TextOr("mm_vision_tower", ""));
  const ClipTower* tower = FindClipTower(name);
  if (tower != nullptr && hint.shape && tower->Fits(*hint.shape)) return tower->config;
  return Fail(
      "{}: key vision_config is missing (hidden_size, intermediate_size, num_attention_heads, "
      "num_hidden_layers, image_size, patch_size), and mm_vision_tower \"{}\" {}",
      root.where(), Printable(name),
      tower == nullptr ? "is no CLIP tower whose sizes are known"
      : hint.shape     ? "does not have the shapes of these tensors"
                       : "is not among these tensors: name the directory that has it with --vision");
}

Result<ProjectorType> ParseProjectorType(const Object& json) {
  MVLM_ASSIGN(const std::string type, json.Text("mm_projector_type"));
  for (const ProjectorType known : {ProjectorType::kLdp, ProjectorType::kLdpV2, ProjectorType::kMlp}) {
    if (type == HfProjectorName(known)) return known;
  }
  return Fail("{}: mm_projector_type: wanted \"ldpnet\", \"ldpnetv2\" or \"mlp2x_gelu\", found \"{}\"",
              json.where(), Printable(type));
}

// Everything beside the language model.
Status ParseMultimodal(const Object& root, const TowerHint& hint, HfConfig& config) {
  MVLM_ASSIGN(config.projector.type, ParseProjectorType(root));
  MVLM_TRY(root.OnlyText("mm_vision_select_feature", "patch"));
  MVLM_ASSIGN(const int select_layer, root.Int("mm_vision_select_layer", -1024, -1));
  MVLM_ASSIGN(config.vision, FindVision(root, hint));
  config.vision.used_layers = config.vision.stored_layers + 1 + select_layer;
  MVLM_TRY(CheckVisionConfig(config.vision, root.where()));
  config.image = ClipImageConfig(config.vision.image_size);

  MVLM_ASSIGN(config.projector.vision_hidden, root.Int("mm_hidden_size", 1, 65536));
  if (config.projector.vision_hidden != config.vision.hidden) {
    return Fail("{}: mm_hidden_size is {}, but the vision tower's hidden_size is {}", root.where(),
                config.projector.vision_hidden, config.vision.hidden);
  }
  config.projector.hidden = config.llm.hidden;
  config.projector.grid = config.vision.grid();
  return CheckProjectorConfig(config.projector, root.where());
}

// Whether the model sees, by the name of its architecture.
Result<bool> ParseModelType(const Object& root) {
  MVLM_ASSIGN(const std::string type, root.TextOr("model_type", "mobilevlm"));
  if (type == "llama") return false;
  if (type == "mobilevlm" || type == "llava" || type == "llava_llama") return true;
  return Fail("{}: model_type: wanted \"mobilevlm\", \"llava\", \"llava_llama\" or \"llama\", found \"{}\"",
              root.where(), Printable(type));
}

}  // namespace

Result<HfConfig> ParseHfConfig(std::string_view text, const std::string& path, const TowerHint& hint) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Fail("{}: not a JSON object", path);
  const Object root(json, path);
  HfConfig config;
  MVLM_ASSIGN(config.multimodal, ParseModelType(root));
  MVLM_ASSIGN(config.llm, ParseLlm(root));
  MVLM_ASSIGN(config.bos, root.IntOr("bos_token_id", 0, config.llm.vocab - 1, 1));
  MVLM_ASSIGN(config.eos, root.IntOr("eos_token_id", 0, config.llm.vocab - 1, 2));
  if (config.multimodal) MVLM_TRY(ParseMultimodal(root, hint, config));
  return config;
}

Result<VisionConfig> ParseClipConfig(std::string_view text, const std::string& path) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Fail("{}: not a JSON object", path);
  const Object root(json, path);
  MVLM_ASSIGN(const std::string type, root.Text("model_type"));
  if (type == "clip_vision_model") return ParseVision(root);
  if (type != "clip") {
    return Fail("{}: model_type: wanted \"clip\" or \"clip_vision_model\", found \"{}\"", path,
                Printable(type));
  }
  MVLM_ASSIGN(const Object vision, root.Child("vision_config"));
  return ParseVision(vision);
}

}  // namespace mobilevlm
