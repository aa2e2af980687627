#include "inspect_directory.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/parse_json.h"
#include "base/read_file.h"
#include "checkpoint/hf_directory.h"
#include "schema/tensors.h"
#include "text/tokenizer.h"

namespace mobilevlm::app {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 1 << 20;
constexpr uint64_t kMaxTokenizerBytes = 64 << 20;

bool Exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// model_type of config.json, or empty.
std::string ModelType(const std::string& text) {
  const auto json = ParseJson(text, "config.json").value_or(nullptr);
  if (!json.is_object() || !json.contains("model_type") || !json["model_type"].is_string()) return "";
  return json["model_type"];
}

uint64_t Elements(const std::vector<TensorSpec>& specs) {
  uint64_t sum = 0;
  for (const TensorSpec& spec : specs) {
    uint64_t elements = 1;
    for (const uint64_t extent : spec.shape) elements *= extent;
    sum += elements;
  }
  return sum;
}

// Stored by official checkpoints and needed by nothing: buffers that are computed, the norm behind the tower
// and its blocks behind the feature.
bool IsKnownLeftover(std::string_view name, int used_layers) {
  if (name.ends_with("rotary_emb.inv_freq") || name.ends_with("embeddings.position_ids")) return true;
  const size_t at = name.find(kClipPrefix);
  if (at == std::string_view::npos) return false;
  const std::string_view rest = name.substr(at + kClipPrefix.size());
  if (rest.starts_with("post_layernorm.")) return true;
  constexpr std::string_view kLayers = "encoder.layers.";
  return rest.starts_with(kLayers) &&
         std::atoi(std::string(rest.substr(kLayers.size())).c_str()) >= used_layers;
}

class DirectoryInspector {
 public:
  explicit DirectoryInspector(const std::string& path) { report_.path = path; }

  Result<InspectReport> Model() {
    const std::string config_path = report_.path + "/config.json";
    if (!Exists(config_path) && !WeightFiles::Exist(report_.path)) {
      return Fail("{}: neither config.json nor weights: no model directory", report_.path);
    }
    report_.kind = "model directory";
    report_.format = "Hugging Face";
    if (auto weights = WeightFiles::Open(report_.path)) {
      weights_ = std::move(*weights);
      ListTensors(*weights_);
    } else {
      Problem(weights.error());
    }
    const auto text = ReadFile(config_path, kMaxConfigBytes);
    if (!text) {
      Problem(text.error());
      return std::move(report_);
    }
    const std::string type = ModelType(*text);
    if (type == "clip" || type == "clip_vision_model") {
      Clip(*text, config_path);
    } else {
      Describe(*text, config_path);
    }
    return std::move(report_);
  }

  Result<InspectReport> Adapter(const std::string& base) {
    report_.format = "Hugging Face, PEFT";
    report_.kind = "LoRA adapter";
    MVLM_ASSIGN(const LoraAdapter adapter, LoraAdapter::Open(report_.path));
    std::set<uint64_t> ranks;
    for (const auto& [name, pair] : adapter.pairs()) {
      ranks.insert(pair.a->shape[0]);
      AddLine(name + " (A)", *pair.a);
      AddLine(name + " (B)", *pair.b);
    }
    for (const auto& [name, replacement] : adapter.replacements()) AddLine(name, *replacement.tensor);
    Config("rank", fmt::format("{}", fmt::join(ranks, ", ")));
    if (!adapter.pairs().empty()) Config("scale", adapter.pairs().begin()->second.scale);
    Config("changed_matrices", adapter.pairs().size());
    Config("replaced_tensors", adapter.replacements().size());
    if (base.empty()) {
      Config("base", "not given: --base DIR compares names and shapes with it");
    } else if (const auto merged = HfDirectory::Open({report_.path, base, ""}); !merged) {
      Problem(merged.error());
    } else {
      Config("base", base);
    }
    return std::move(report_);
  }

 private:
  template <class T>
  void Config(std::string name, const T& value) {
    report_.config.emplace_back(std::move(name), fmt::format("{}", value));
  }
  void Problem(const Error& error) {
    const std::string prefix = report_.path + ": ";
    const std::string& message = error.message;
    report_.problems.push_back(message.starts_with(prefix) ? message.substr(prefix.size()) : message);
  }
  void AddLine(const std::string& name, const NamedTensor& tensor) {
    report_.tensors.push_back({name, std::string(DTypeName(tensor.type)), tensor.shape, tensor.data.size()});
    report_.bytes += tensor.data.size();
  }

  void ListTensors(const WeightFiles& weights) {
    std::map<std::string, size_t> files;
    for (const NamedTensor* tensor : weights.tensors()) {
      AddLine(tensor->name, *tensor);
      ++files[fs::path(weights.FileOf(*tensor)).filename().string()];
    }
    for (const auto& [name, count] : files) report_.format += fmt::format(", {} ({} tensors)", name, count);
  }

  // Every tensor of `specs` must be there with its shape; what is left over is known or unexpected.
  void CompareTensors(const std::vector<TensorSpec>& specs, int used_layers) {
    if (!weights_) return;
    std::set<std::string, std::less<>> names;
    for (const TensorSpec& spec : specs) {
      names.insert(spec.hf_name);
      const auto tensor = weights_->Require(spec.hf_name);
      if (!tensor) {
        Problem(tensor.error());
      } else if (!SameShape((*tensor)->shape, spec.shape)) {
        report_.problems.push_back(fmt::format("tensor {}: wanted shape {}, found {}", spec.hf_name,
                                               ShapeText(spec.shape), ShapeText((*tensor)->shape)));
      }
    }
    const auto left_over = [&](const std::string& name) {
      if (names.contains(name)) return;
      (IsKnownLeftover(name, used_layers) ? report_.unused : report_.unexpected).push_back(name);
    };
    for (const NamedTensor* tensor : weights_->tensors()) left_over(tensor->name);
    for (const OtherTensor& tensor : weights_->others()) left_over(tensor.name);
  }

  void Describe(const std::string& text, const std::string& config_path) {
    TowerHint hint;
    if (weights_) hint.shape = MeasureTower(*weights_, kHfVisionPrefix);
    const auto config = ParseHfConfig(text, config_path, hint);
    if (!config) return Problem(config.error());
    const LlmConfig& llm = config->llm;
    report_.kind = !config->multimodal                               ? "LLaMA, text only"
                   : config->projector.type == ProjectorType::kLdpV2 ? "MobileVLM V2"
                   : config->projector.type == ProjectorType::kLdp   ? "MobileVLM V1"
                                                                     : "LLaVA-1.5";
    Config("hidden", llm.hidden);
    Config("intermediate", llm.intermediate);
    Config("layers", llm.layers);
    Config("heads", llm.heads);
    Config("kv_heads", llm.kv_heads);
    Config("head_dim", llm.head_dim);
    Config("vocab", llm.vocab);
    Config("context", llm.context);
    Config("rms_eps", llm.rms_eps);
    Config("rope_base", llm.rope_base);
    std::vector<TensorSpec> specs = LlmTensors(llm);
    Config("llm_parameters", Elements(specs));
    if (config->multimodal) {
      DescribeTower(config->vision);
      const auto projector = ProjectorTensors(config->projector);
      Config("projector", ProjectorName(config->projector.type));
      Config("visual_tokens", config->projector.tokens());
      Config("projector_parameters", Elements(projector));
      for (const auto& part : {VisionTensors(config->vision), projector}) {
        specs.insert(specs.end(), part.begin(), part.end());
      }
    }
    CompareTensors(specs, config->vision.used_layers);
    CheckTokenizer(llm);
  }

  void DescribeTower(const VisionConfig& vision) {
    Config("image_size", vision.image_size);
    Config("patch_size", vision.patch_size);
    Config("vision_hidden", vision.hidden);
    Config("vision_intermediate", vision.intermediate);
    Config("vision_heads", vision.heads);
    Config("stored_layers", vision.stored_layers);
    Config("used_layers", vision.used_layers);
    Config("vision_parameters", Elements(VisionTensors(vision)));
  }

  void Clip(const std::string& text, const std::string& config_path) {
    report_.kind = "CLIP vision tower";
    auto config = ParseClipConfig(text, config_path);
    if (!config) return Problem(config.error());
    config->used_layers = config->stored_layers;
    DescribeTower(*config);
    std::vector<TensorSpec> specs = VisionTensors(*config);
    for (TensorSpec& spec : specs) spec.hf_name = ClipName(spec.hf_name);
    CompareTensors(specs, config->used_layers);
    // CLIP's other half is no surprise.
    const auto is_text = [](const std::string& name) { return !name.starts_with(kClipPrefix); };
    const auto middle = std::stable_partition(report_.unexpected.begin(), report_.unexpected.end(),
                                              [&](const std::string& name) { return !is_text(name); });
    report_.unused.insert(report_.unused.end(), middle, report_.unexpected.end());
    report_.unexpected.erase(middle, report_.unexpected.end());
  }

  void CheckTokenizer(const LlmConfig& llm) {
    const auto bytes = ReadFile(report_.path + "/tokenizer.model", kMaxTokenizerBytes);
    if (!bytes) return Problem(bytes.error());
    const auto vocab = ParseSentencePieceModel(*bytes);
    if (!vocab) {
      report_.problems.push_back("tokenizer.model: " + vocab.error().message);
    } else if (vocab->pieces.size() > static_cast<size_t>(llm.vocab)) {
      report_.problems.push_back(fmt::format("tokenizer.model has {} pieces, the embedding table {} rows",
                                             vocab->pieces.size(), llm.vocab));
    } else {
      Config("pieces", vocab->pieces.size());
    }
  }

  InspectReport report_;
  std::optional<WeightFiles> weights_;
};

}  // namespace

Result<InspectReport> InspectDirectory(const std::string& path, const std::string& base) {
  if (LoraAdapter::IsIn(path)) return DirectoryInspector(path).Adapter(base);
  if (!base.empty()) return Fail("{}: is no LoRA adapter, so it needs no base", path);
  return DirectoryInspector(path).Model();
}

Result<InspectReport> InspectWeightFile(const std::string& path) {
  MVLM_ASSIGN(const WeightFiles file, WeightFiles::OpenFile(path));
  InspectReport report;
  report.path = path;
  report.format = path.ends_with(".safetensors") ? "safetensors" : "torch";
  report.kind = "checkpoint";
  for (const NamedTensor* tensor : file.tensors()) {
    report.tensors.push_back(
        {tensor->name, std::string(DTypeName(tensor->type)), tensor->shape, tensor->data.size()});
    report.bytes += tensor->data.size();
  }
  for (const OtherTensor& other : file.others()) {
    report.problems.push_back(fmt::format("tensor {}: type {} is not read", other.name, other.dtype));
  }
  return report;
}

}  // namespace mobilevlm::app
