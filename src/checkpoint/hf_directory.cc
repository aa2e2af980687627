#include "checkpoint/hf_directory.h"

#include <filesystem>
#include <unordered_set>

#include "base/check.h"
#include "base/read_file.h"
#include "schema/clip_towers.h"

namespace mobilevlm {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 1 << 20;
constexpr uint64_t kMaxTokenizerBytes = 64 << 20;

// `name` in `directory`, or else in `fallback`, which may be empty.
std::string Choose(const std::string& directory, const std::string& fallback, const std::string& name) {
  std::error_code ignored;
  const std::string first = directory + "/" + name;
  return fallback.empty() || fs::exists(first, ignored) ? first : fallback + "/" + name;
}

int Extent(const NamedTensor& tensor, size_t axis) {
  constexpr uint64_t kMost = 1 << 24;
  return axis < tensor.shape.size() && tensor.shape[axis] <= kMost ? static_cast<int>(tensor.shape[axis]) : 0;
}

}  // namespace

std::string ClipName(std::string_view name) {
  MVLM_CHECK(name.starts_with(kHfVisionPrefix), "{}", name);
  return fmt::format("{}{}", kClipPrefix, name.substr(kHfVisionPrefix.size()));
}

std::optional<TowerShape> MeasureTower(const WeightFiles& weights, std::string_view prefix) {
  const auto find = [&](std::string_view name) { return weights.Find(fmt::format("{}{}", prefix, name)); };
  const NamedTensor* patches = find("embeddings.patch_embedding.weight");
  const NamedTensor* positions = find("embeddings.position_embedding.weight");
  const NamedTensor* fc1 = find("encoder.layers.0.mlp.fc1.weight");
  if (patches == nullptr || positions == nullptr || fc1 == nullptr) return std::nullopt;
  TowerShape shape;
  shape.hidden = Extent(*patches, 0);
  shape.patch_size = Extent(*patches, 2);
  shape.positions = Extent(*positions, 0);
  shape.intermediate = Extent(*fc1, 0);
  while (find(fmt::format("encoder.layers.{}.mlp.fc1.weight", shape.layers)) != nullptr) ++shape.layers;
  return shape;
}

Result<HfDirectory> HfDirectory::Open(const HfSources& sources) {
  const std::string& directory = sources.directory;
  const bool is_adapter = LoraAdapter::IsIn(directory);
  if (is_adapter && sources.base.empty()) {
    return Fail("{}: is a LoRA adapter: the model it was trained on is needed, too (--base)", directory);
  }
  if (!is_adapter && !sources.base.empty()) {
    return Fail("{}: is no LoRA adapter (adapter_config.json is missing), so it needs no base", directory);
  }
  const std::string config_path = Choose(directory, sources.base, "config.json");
  MVLM_ASSIGN(const std::string json, ReadFile(config_path, kMaxConfigBytes));
  MVLM_ASSIGN(WeightFiles weights, WeightFiles::Open(is_adapter ? sources.base : directory));
  HfDirectory hf(directory, std::move(weights));
  TowerHint hint{.shape = MeasureTower(hf.weights, kHfVisionPrefix), .config = {}};
  if (!sources.vision.empty()) {
    const std::string path = sources.vision + "/config.json";
    MVLM_ASSIGN(const std::string clip, ReadFile(path, kMaxConfigBytes));
    MVLM_ASSIGN(hint.config, ParseClipConfig(clip, path));
    MVLM_ASSIGN(hf.vision_, WeightFiles::Open(sources.vision));
  }
  MVLM_ASSIGN(hf.config, ParseHfConfig(json, config_path, hint));
  if (!sources.vision.empty() && !hf.config.multimodal) {
    if (!sources.may_add_tower) {
      return Fail("{}: a text-only model has no use for a vision tower", config_path);
    }
    MVLM_TRY(hf.AddTower(*hint.config));
  }
  const std::string tokenizer = Choose(directory, sources.base, "tokenizer.model");
  MVLM_ASSIGN(hf.tokenizer_model, ReadFile(tokenizer, kMaxTokenizerBytes));
  if (is_adapter) {
    MVLM_ASSIGN(hf.adapter_, LoraAdapter::Open(directory));
    MVLM_TRY(hf.CheckAdapter());
  }
  return hf;
}

Status HfDirectory::AddTower(const VisionConfig& tower) {
  config.vision = tower;
  config.vision.used_layers = tower.stored_layers - 1;  // mm_vision_select_layer = -2, as everywhere
  config.image = ClipImageConfig(tower.image_size);
  config.multimodal = tower_added = true;
  return CheckVisionConfig(config.vision, vision_->path());
}

Result<SourceTensor> HfDirectory::Find(std::string_view name) const {
  if (vision_ && name.starts_with(kHfVisionPrefix)) {
    MVLM_ASSIGN(const NamedTensor* tensor, vision_->Require(ClipName(name)));
    return SourceTensor{tensor, &*vision_};
  }
  if (adapter_) {
    if (const auto* replacement = adapter_->FindReplacement(name)) {
      return SourceTensor{replacement->tensor, replacement->files};
    }
  }
  const auto tensor = weights.Require(name);
  if (tensor) return SourceTensor{*tensor, &weights};
  if (!name.starts_with(kHfVisionPrefix) || weights.Find(name) != nullptr) {
    return tl::unexpected<Error>(tensor.error());
  }
  return Fail("{}; if the tower is in a directory of its own, name it with --vision", tensor.error().message);
}

Result<SourceTensor> HfDirectory::Require(const TensorSpec& spec) const {
  MVLM_ASSIGN(SourceTensor source, Find(spec.hf_name));
  const NamedTensor& stored = *source.stored;
  if (!SameShape(stored.shape, spec.shape)) {
    return Fail("{}: tensor {}: wanted shape {}, found {}", source.files->FileOf(stored), stored.name,
                ShapeText(spec.shape), ShapeText(stored.shape));
  }
  if (adapter_) source.pair = adapter_->FindPair(spec.hf_name);
  return source;
}

// What the adapter holds must change something: a name that fits nothing would be training lost in silence.
Status HfDirectory::CheckAdapter() const {
  for (const auto& [name, pair] : adapter_->pairs()) {
    MVLM_ASSIGN(const SourceTensor target, Find(name));
    const std::vector<uint64_t> wanted{pair.b->shape[0], pair.a->shape[1]};
    if (target.stored->shape == wanted) continue;
    return Fail("{}: the adapter's {} is {}, but {} has shape {}", adapter_->path(), name, ShapeText(wanted),
                target.files->path(), ShapeText(target.stored->shape));
  }
  std::unordered_set<std::string> known;
  const auto learn = [&known](const std::vector<TensorSpec>& specs) {
    for (const TensorSpec& spec : specs) known.insert(spec.hf_name);
  };
  learn(LlmTensors(config.llm));
  if (config.multimodal) learn(ProjectorTensors(config.projector));
  for (const auto& [name, replacement] : adapter_->replacements()) {
    if (known.contains(name) || weights.Find(name) != nullptr || name.starts_with(kHfVisionPrefix)) continue;
    return Fail("{}: tensor {} is none of this model", replacement.files->path(), name);
  }
  return {};
}

}  // namespace mobilevlm
