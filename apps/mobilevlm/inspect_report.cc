#include "inspect_report.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "engine/memory_need.h"
#include "inspect_directory.h"
#include "schema/keys.h"
#include "schema/read_config.h"
#include "schema/tensors.h"

namespace mobilevlm::app {
namespace {

class Inspector {
 public:
  explicit Inspector(const GgufFile& file) : file_(file) {
    report_.path = file.path();
    report_.format = fmt::format("GGUF version {}", file.version());
    report_.bytes = file.file_bytes();
    for (const GgufTensor& tensor : file.tensors()) {
      report_.tensors.push_back(
          {tensor.name, std::string(DTypeName(tensor.type)), tensor.shape, tensor.data.size()});
    }
  }

  InspectReport Inspect() {
    const auto architecture = file_.GetString("general.architecture");
    if (architecture && *architecture == "llama") {
      InspectText();
    } else if (architecture && *architecture == "clip") {
      InspectMmproj();
    } else {
      report_.kind = "unknown";
      report_.problems.push_back(architecture ? fmt::format("general.architecture: wanted \"llama\" or "
                                                            "\"clip\", found \"{}\"",
                                                            Printable(*architecture))
                                              : architecture.error().message);
    }
    return std::move(report_);
  }

 private:
  template <class T>
  void Config(std::string name, const T& value) {
    report_.config.emplace_back(std::move(name), fmt::format("{}", value));
  }
  void Problem(const Error& error) {
    const std::string prefix = file_.path() + ": ";
    const std::string& message = error.message;
    report_.problems.push_back(message.starts_with(prefix) ? message.substr(prefix.size()) : message);
  }

  void ListUnknownKeys(std::span<const KeySpec> keys) {
    for (const auto& [key, value] : file_.metadata()) {
      if (!IsKnownKey(keys, key)) report_.unknown_keys.emplace_back(key);
    }
  }

  // What is wrong with the tensors in `specs` becomes a problem, what is left over unexpected.
  void CompareTensors(const std::vector<TensorSpec>& specs) {
    std::set<std::string> names;
    for (const TensorSpec& spec : specs) {
      names.insert(spec.gguf_name);
      if (const auto tensor = FindTensor(file_, spec); !tensor) Problem(tensor.error());
    }
    for (const GgufTensor& tensor : file_.tensors()) {
      if (!names.contains(tensor.name)) report_.unexpected.push_back(tensor.name);
    }
  }

  void InspectText() {
    report_.kind = file_.tensors().empty() ? "vocabulary only" : "text model";
    ListUnknownKeys(TextKeys());
    const auto config = ReadLlmConfig(file_);
    if (!config) return Problem(config.error());
    Config("hidden", config->hidden);
    Config("intermediate", config->intermediate);
    Config("layers", config->layers);
    Config("heads", config->heads);
    Config("kv_heads", config->kv_heads);
    Config("head_dim", config->head_dim);
    Config("vocab", config->vocab);
    Config("context", config->context);
    Config("rms_eps", config->rms_eps);
    Config("rope_base", config->rope_base);
    if (file_.tensors().empty()) return;
    CompareTensors(LlmTensors(*config));
    if (!report_.problems.empty()) return;
    report_.memory = engine::TextMemory(file_, *config, DType::kF16, static_cast<size_t>(config->context));
  }

  void InspectMmproj() {
    report_.kind = "mmproj";
    ListUnknownKeys(MmprojKeys());
    const auto vision = ReadVisionConfig(file_);
    const auto image = ReadImageConfig(file_);
    const auto projector = ReadProjectorConfig(file_);
    if (!vision) return Problem(vision.error());
    Config("image_size", vision->image_size);
    Config("patch_size", vision->patch_size);
    Config("patches", vision->patches());
    Config("hidden", vision->hidden);
    Config("intermediate", vision->intermediate);
    Config("heads", vision->heads);
    Config("stored_layers", vision->stored_layers);
    Config("used_layers", vision->used_layers);
    Config("layer_norm_eps", vision->layer_norm_eps);
    Config("activation", vision->activation == VisionActivation::kQuickGelu ? "quick_gelu"
                         : vision->activation == VisionActivation::kGelu    ? "gelu"
                                                                            : "silu");
    if (!image) return Problem(image.error());
    Config("image_mean", fmt::format("[{}]", fmt::join(image->mean, ", ")));
    Config("image_std", fmt::format("[{}]", fmt::join(image->std, ", ")));
    if (!projector) return Problem(projector.error());
    Config("projector", ProjectorName(projector->type));
    Config("projector_hidden", projector->hidden);
    Config("visual_tokens", projector->tokens());
    const auto specs = MmprojTensors(file_);
    if (!specs) return Problem(specs.error());
    CompareTensors(*specs);
    if (report_.problems.empty()) report_.memory = engine::MmprojMemory(file_, *image, *vision, *projector);
  }

  const GgufFile& file_;
  InspectReport report_;
};

}  // namespace

bool IsWeightFile(std::string_view path) { return path.ends_with(".safetensors") || path.ends_with(".bin"); }

Result<InspectReport> InspectFile(const std::string& path, const std::string& base) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return InspectDirectory(path, base);
  if (!base.empty()) return Fail("{}: is no LoRA adapter, so it needs no base", path);
  if (IsWeightFile(path)) return InspectWeightFile(path);
  MVLM_ASSIGN(const GgufFile file, GgufFile::Open(path));
  return Inspector(file).Inspect();
}

}  // namespace mobilevlm::app
