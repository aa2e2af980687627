// A model as Hugging Face directories hold it: config.json, weights in any layout
// (checkpoint/weight_files.h), tokenizer.model; its tower perhaps in a directory of its own (V1 takes it from
// openai/clip), its fine-tuning perhaps in a LoRA adapter beside its base.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "checkpoint/lora.h"
#include "checkpoint/weight_files.h"
#include "schema/read_config.h"
#include "schema/tensors.h"

namespace mobilevlm {

// In a CLIP directory the tower's tensors begin with this instead of kHfVisionPrefix.
inline constexpr std::string_view kClipPrefix = "vision_model.";

// kHfVisionPrefix + "x" as a CLIP directory names it.
std::string ClipName(std::string_view name);

struct HfSources {
  std::string directory;       // the model, or a LoRA adapter
  std::string base = {};       // with an adapter: the model it was trained on
  std::string vision = {};     // a CLIP directory, whose tower is then used instead of the model's own
  bool may_add_tower = false;  // to a text-only model, which then lacks a projector; else that is an Error
};

// One tensor of the model: what is stored, and what an adapter adds to it.
struct SourceTensor {
  const NamedTensor* stored = nullptr;
  const WeightFiles* files = nullptr;  // that hold it
  const LoraPair* pair = nullptr;      // or none
};

// Thread contract: immutable after Open.
class HfDirectory {
 public:
  // An Error names the file that is missing or wrong.
  static Result<HfDirectory> Open(const HfSources& sources);
  static Result<HfDirectory> Open(const std::string& path) { return Open(HfSources{path}); }

  // By official name, with the shape that the table of schema/tensors.h gives it.
  Result<SourceTensor> Require(const TensorSpec& spec) const;

  std::string path;
  HfConfig config;
  bool tower_added = false;     // config.projector is then empty
  WeightFiles weights;          // the model's, or its base's
  std::string tokenizer_model;  // the bytes of tokenizer.model, not yet parsed

 private:
  HfDirectory(std::string directory, WeightFiles files)
      : path(std::move(directory)), weights(std::move(files)) {}
  Result<SourceTensor> Find(std::string_view name) const;
  Status CheckAdapter() const;
  Status AddTower(const VisionConfig& tower);

  std::optional<WeightFiles> vision_;
  std::optional<LoraAdapter> adapter_;
};

// The shapes of a tower whose tensors begin with `prefix` ("...vision_model."); nullopt if they are not
// there.
std::optional<TowerShape> MeasureTower(const WeightFiles& weights, std::string_view prefix);

}  // namespace mobilevlm
