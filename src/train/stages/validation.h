// Exact match per kind of question on validation scenes: the share of answers that greedy decoding would
// print letter for letter, measured by teacher forcing. All text stages use this one function.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

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

// Consecutive samples of one kind with what stands for their pictures.
using VisualSource =
    std::function<void(const ValidationSet::Kind& kind, size_t begin, size_t end, MicroBatch& batch)>;

// {"name": 0.97, ..., "mean": 0.91}
nlohmann::json ExactMatchPerKind(MobileVlmImpl& model, const ValidationSet& set, int visual,
                                 const VisualSource& source, DataParallel& parallel);

}  // namespace mobilevlm::train
