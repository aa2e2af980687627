#include "checkpoint/lora.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/parse_json.h"
#include "base/read_file.h"
#include "gguf/reader.h"

namespace mobilevlm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr uint64_t kMaxAdapterConfigBytes = 1 << 20;
constexpr int kMaxRank = 65536;
constexpr std::string_view kConfigName = "adapter_config.json";

struct LoraSettings {
  int rank = 0;
  double scale = 0;
};

bool IsAbsentOr(const Json& json, const char* key, const Json& value) {
  return !json.contains(key) || json[key].is_null() || json[key] == value;
}

// The settings that change what an adapter means, and the values that leave it plain LoRA.
Status RefuseVariants(const Json& json, const std::string& path) {
  const std::pair<const char*, Json> kPlain[] = {
      {"peft_type", "LORA"},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"use_dora", false},
      {"rank_pattern", Json::object()},
      {"alpha_pattern", Json::object()},
      {"megatron_config", nullptr},
  };
  for (const auto& [key, plain] : kPlain) {
    if (IsAbsentOr(json, key, plain)) continue;
    return Fail("{}: {}: wanted {}, found {}", path, key, plain.dump(), Printable(json[key].dump()));
  }
  return {};
}

Result<LoraSettings> ReadSettings(const std::string& path) {
  MVLM_ASSIGN(const std::string text, ReadFile(path, kMaxAdapterConfigBytes));
  MVLM_ASSIGN(const Json json, ParseJson(text, path));
  if (!json.is_object()) return Fail("{}: not a JSON object", path);
  MVLM_TRY(RefuseVariants(json, path));
  if (!json.contains("r") || !json["r"].is_number_integer() || json["r"].get<int64_t>() < 1 ||
      json["r"].get<int64_t>() > kMaxRank) {
    return Fail("{}: r: wanted a rank from 1 to {}", path, kMaxRank);
  }
  if (!json.contains("lora_alpha") || !json["lora_alpha"].is_number() ||
      !std::isfinite(json["lora_alpha"].get<double>())) {
    return Fail("{}: lora_alpha: wanted a number", path);
  }
  LoraSettings settings;
  settings.rank = json["r"].get<int>();
  const double rank = settings.rank;
  const bool stabilised = !IsAbsentOr(json, "use_rslora", false);
  settings.scale = json["lora_alpha"].get<double>() / (stabilised ? std::sqrt(rank) : rank);
  return settings;
}

// PEFT wraps the model twice: "base_model.model." + the official name; LLaVA's own files also come with one
// "model." too many.
std::string OfficialName(std::string_view name) {
  constexpr std::string_view kPeft = "base_model.model.";
  constexpr std::string_view kDoubled = "model.model.";
  if (name.starts_with(kPeft)) return std::string(name.substr(kPeft.size()));
  if (name.starts_with(kDoubled)) return std::string(name.substr(std::string_view("model.").size()));
  return std::string(name);
}

// "X.lora_A.weight" or "X.lora_A.default.weight" -> "X.weight"; empty for other names.
std::string TargetOf(std::string_view name, std::string_view factor) {
  for (const std::string_view ending : {".weight", ".default.weight"}) {
    const std::string whole = fmt::format(".{}{}", factor, ending);
    if (name.ends_with(whole)) return fmt::format("{}.weight", name.substr(0, name.size() - whole.size()));
  }
  return "";
}

}  // namespace

bool LoraAdapter::IsIn(const std::string& directory) {
  std::error_code ignored;
  return fs::exists(fs::path(directory) / kConfigName, ignored);
}

Result<LoraAdapter> LoraAdapter::Open(const std::string& directory) {
  LoraAdapter adapter(directory);
  MVLM_ASSIGN(const LoraSettings settings, ReadSettings(fmt::format("{}/{}", directory, kConfigName)));
  adapter.files_.reserve(2);  // replacements point to them
  MVLM_TRY(adapter.ReadWeights());
  MVLM_TRY(adapter.ReadReplacements());
  MVLM_TRY(adapter.CheckPairs(settings.rank));
  for (auto& [target, pair] : adapter.pairs_) pair.scale = settings.scale;
  return adapter;
}

Status LoraAdapter::ReadWeights() {
  std::error_code ignored;
  const std::string safetensors = path_ + "/adapter_model.safetensors";
  const bool safe = fs::exists(safetensors, ignored);
  MVLM_ASSIGN(WeightFiles weights, WeightFiles::OpenFile(safe ? safetensors : path_ + "/adapter_model.bin"));
  files_.push_back(std::move(weights));
  for (const NamedTensor* tensor : files_.back().tensors()) {
    const std::string name = OfficialName(tensor->name);
    if (const std::string target = TargetOf(name, "lora_A"); !target.empty()) {
      pairs_[target].a = tensor;
    } else if (const std::string other = TargetOf(name, "lora_B"); !other.empty()) {
      pairs_[other].b = tensor;
    } else if (name.find("lora_") != std::string::npos) {
      return Fail("{}: tensor {} is of a kind of LoRA that is not supported", files_.back().path(),
                  tensor->name);
    } else {
      replacements_[name] = {tensor, &files_.back()};  // modules_to_save
    }
  }
  return {};
}

Status LoraAdapter::ReadReplacements() {
  const std::string path = path_ + "/non_lora_trainables.bin";
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return {};
  MVLM_ASSIGN(WeightFiles weights, WeightFiles::OpenFile(path));
  files_.push_back(std::move(weights));
  for (const NamedTensor* tensor : files_.back().tensors()) {
    const std::string name = OfficialName(tensor->name);
    if (!replacements_.emplace(name, Replacement{tensor, &files_.back()}).second) {
      return Fail("{}: tensor {} appears twice", path, name);
    }
  }
  return {};
}

Status LoraAdapter::CheckPairs(int wanted_rank) const {
  for (const auto& [target, pair] : pairs_) {
    if (pair.a == nullptr || pair.b == nullptr) {
      return Fail("{}: lora_{} of {} is missing", path_, pair.a == nullptr ? "A" : "B", target);
    }
    const auto rank = static_cast<uint64_t>(wanted_rank);
    const bool fit = pair.a->shape.size() == 2 && pair.b->shape.size() == 2 && pair.a->shape[0] == rank &&
                     pair.b->shape[1] == rank;
    if (!fit) {
      return Fail("{}: {}: wanted lora_A [{}, columns] and lora_B [rows, {}], found {} and {}", path_, target,
                  rank, rank, ShapeText(pair.a->shape), ShapeText(pair.b->shape));
    }
  }
  return {};
}

const LoraPair* LoraAdapter::FindPair(std::string_view name) const {
  const auto found = pairs_.find(name);
  return found == pairs_.end() ? nullptr : &found->second;
}

const LoraAdapter::Replacement* LoraAdapter::FindReplacement(std::string_view name) const {
  const auto found = replacements_.find(name);
  return found == replacements_.end() ? nullptr : &found->second;
}

LoraDelta::LoraDelta(const LoraPair& pair)
    : pair_(pair), rank_(pair.a->shape[0]), columns_(pair.a->shape[1]), a_(rank_ * columns_) {
  std::vector<float> values(a_.size());
  ReadElements(*pair.a, 0, values.size(), values.data());
  std::copy(values.begin(), values.end(), a_.begin());
}

void LoraDelta::AddTo(uint64_t first, size_t count, float* values) const {
  const uint64_t row = first / columns_;
  const size_t column = first % columns_;
  std::vector<float> b(rank_);
  ReadElements(*pair_.b, row * rank_, rank_, b.data());
  std::vector<double> sum(count);
  for (size_t r = 0; r < rank_; ++r) {
    const double factor = b[r];
    const double* a = &a_[r * columns_ + column];
    for (size_t i = 0; i < count; ++i) sum[i] += factor * a[i];
  }
  for (size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(double{values[i]} + pair_.scale * sum[i]);
  }
}

}  // namespace mobilevlm
