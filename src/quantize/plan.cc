#include "quantize/plan.h"

#include <algorithm>
#include <cctype>
#include <unordered_map>

#include "base/check.h"
#include "schema/read_config.h"
#include "schema/tensors.h"

namespace mobilevlm {
namespace {

// `pattern` with * for any text.
bool Matches(std::string_view pattern, std::string_view text) {
  size_t p = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;
  size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// What the policy must know of a model.
struct Model {
  std::vector<TensorSpec> specs;
  int layers = 0;
  PolicyContext context;
};

Result<Model> ReadModel(const GgufFile& file) {
  MVLM_ASSIGN(const std::string architecture, file.GetString("general.architecture"));
  Model model;
  if (architecture == "llama") {
    MVLM_ASSIGN(const LlmConfig config, ReadLlmConfig(file));
    model.specs = LlmTensors(config);
    model.layers = config.layers;
    model.context.heads_per_kv_head = config.heads / config.kv_heads;
    return model;
  }
  if (architecture == "clip") {
    MVLM_ASSIGN(const VisionConfig config, ReadVisionConfig(file));
    MVLM_ASSIGN(model.specs, MmprojTensors(file));
    model.layers = config.used_layers;
    return model;
  }
  return Fail("{}: general.architecture: wanted \"llama\" or \"clip\", found \"{}\"", file.path(),
              Printable(architecture));
}

class Planner {
 public:
  Planner(const GgufFile& file, const QuantizeOptions& options, const Model& model)
      : file_(file), options_(options), model_(model), used_(options.overrides.size(), false) {}

  Result<QuantizePlan> Plan() {
    std::unordered_map<std::string_view, const TensorSpec*> specs;
    for (const TensorSpec& spec : model_.specs) {
      MVLM_TRY(FindTensor(file_, spec));
      specs.emplace(spec.gguf_name, &spec);
    }
    QuantizePlan plan;
    plan.file_type = options_.preset->file_type;
    for (const GgufTensor& tensor : file_.tensors()) {
      const auto spec = specs.find(tensor.name);
      if (spec == specs.end()) {
        plan.tensors.push_back({&tensor, tensor.type, "not used by the model"});
        continue;
      }
      MVLM_ASSIGN(TensorPlan planned, PlanTensor(tensor, *spec->second));
      plan.tensors.push_back(std::move(planned));
    }
    for (size_t i = 0; i < used_.size(); ++i) {
      if (!used_[i]) return Fail("{}: no tensor is called {}", file_.path(), options_.overrides[i].first);
    }
    return plan;
  }

 private:
  const DType* Override(const std::string& name) {
    const DType* type = nullptr;
    for (size_t i = 0; i < used_.size(); ++i) {
      if (!Matches(options_.overrides[i].first, name)) continue;
      used_[i] = true;
      type = &options_.overrides[i].second;
    }
    return type;
  }

  Result<TensorPlan> PlanTensor(const GgufTensor& tensor, const TensorSpec& spec) {
    TensorPlan plan{&tensor, tensor.type, ""};
    const DType* wanted = Override(tensor.name);
    if (wanted != nullptr && !StorageAllows(spec.storage, *wanted)) {
      return Fail("{}: tensor {} cannot be stored as {}: the engine reads it as {}", file_.path(),
                  tensor.name, DTypeName(*wanted),
                  spec.storage == TensorStorage::kHalf ? "F16, BF16 or F32" : "F32");
    }
    if (wanted == nullptr && spec.storage != TensorStorage::kMatrix) return plan;
    const DType asked = wanted != nullptr
                            ? *wanted
                            : PresetType(*options_.preset, PlaceOf(spec, model_.layers), model_.context);
    plan.type = FallbackType(asked, tensor.shape.back());
    if (plan.type != asked) {
      plan.note = fmt::format("rows of {} are no whole blocks of {}", tensor.shape.back(), DTypeName(asked));
    }
    if (plan.changes() && IsQuantised(tensor.type) && !options_.requantize) {
      return Fail(
          "{}: tensor {} is quantised already ({}): begin with the F16 file, or accept the loss of a "
          "second rounding with --requantize",
          file_.path(), tensor.name, DTypeName(tensor.type));
    }
    return plan;
  }

  const GgufFile& file_;
  const QuantizeOptions& options_;
  const Model& model_;
  std::vector<bool> used_;  // overrides that fit a tensor
};

}  // namespace

uint64_t TensorPlan::bytes() const {
  const DTypeInfo& info = GetDTypeInfo(type);
  return tensor->elements() / info.block_size * info.block_bytes;
}

uint64_t QuantizePlan::bytes() const {
  uint64_t sum = 0;
  for (const TensorPlan& tensor : tensors) sum += tensor.bytes();
  return sum;
}

Result<QuantizePlan> PlanQuantization(const GgufFile& file, const QuantizeOptions& options) {
  MVLM_CHECK(options.preset != nullptr);
  if (file.tensors().empty()) return Fail("{}: there are no tensors to quantise", file.path());
  MVLM_ASSIGN(Model model, ReadModel(file));
  model.context.has_importance = options.has_importance;
  return Planner(file, options, model).Plan();
}

Result<TypeOverride> ParseTypeOverride(const std::string& text) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0) return Fail("wanted NAME=TYPE, found {}", Printable(text));
  std::string type = text.substr(equals + 1);
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (const DTypeInfo* info = FindDType(std::string_view(type))) {
    return TypeOverride{text.substr(0, equals), info->type};
  }
  return Fail("{}: no such type: {}; there are {}", Printable(text), Printable(text.substr(equals + 1)),
              DTypeNames());
}

}  // namespace mobilevlm
