// Exact match per kind of question on scenes of the validation or the test split: the share of answers that
// greedy decoding would print letter for letter, measured by teacher forcing. All text stages use these
// functions.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "train/data/feature_cache.h"
#include "train/data/world_text.h"
#include "train/modules/mobilevlm.h"
#include "train/parallel/data_parallel.h"

namespace mobilevlm::train {

struct ValidationSet {
  struct Kind {
    std::string name;
    std::vector<world::Scene> scenes;
    std::vector<TokenSample> samples;
    std::vector<std::string> questions;
  };
  std::vector<Kind> kinds;
};

// `count` scenes and one question each, for every kind.
ValidationSet MakeValidationSet(const world::World& world, const WorldText& text, int64_t count,
                                uint64_t seed);
// The same of the test split: the questions that `mobilevlm eval world` asks, whatever the seed of a run.
ValidationSet MakeTestSet(const world::World& world, const WorldText& text, int64_t count);

// Consecutive samples of one kind with what stands for their pictures.
using VisualSource =
    std::function<void(const ValidationSet::Kind& kind, size_t begin, size_t end, MicroBatch& batch)>;

// For each kind and each of its samples, 1 if it is answered right. The same on every process.
std::vector<std::vector<uint8_t>> ExactMatches(MobileVlmImpl& model, const ValidationSet& set, int visual,
                                               const VisualSource& source, DataParallel& parallel);
// {"name": 0.97, ..., "mean": 0.91}
nlohmann::json ExactMatchPerKind(MobileVlmImpl& model, const ValidationSet& set, int visual,
                                 const VisualSource& source, DataParallel& parallel);

// A set with its pictures as the tower sees them.
struct SeenSet {
  static SeenSet Encode(ValidationSet set, const world::World& world, const ImageConfig& image,
                        ClipVisionTower& tower, DataParallel& parallel);

  // The pictures, or the blank one for all. The set must outlive them.
  VisualSource Pictures() const;
  VisualSource Blank() const;

  ValidationSet set;
  std::vector<torch::Tensor> features;  // per kind [scenes, patches, hidden], half
  torch::Tensor blank;                  // [1, patches, hidden], of a picture of the mean colour
};

}  // namespace mobilevlm::train
