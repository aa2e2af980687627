#include "train/stages/validation.h"

#include <algorithm>
#include <numeric>

#include "world/dataset.h"

namespace mobilevlm::train {
namespace {

constexpr size_t kBatch = 16;

struct Piece {
  size_t kind, begin, end;
};

// `make` gives scene and question number i of a kind.
ValidationSet MakeSet(const WorldText& text, int64_t count,
                      const std::function<world::Sample(size_t kind, int64_t i)>& make) {
  ValidationSet set;
  for (const std::string& name : world::Kinds()) {
    ValidationSet::Kind kind{name, {}, {}, {}};
    for (int64_t i = 0; i < count; ++i) {
      world::Sample sample = make(set.kinds.size(), i);
      kind.scenes.push_back(std::move(sample.scene));
      kind.samples.push_back(text.Single(sample.question));
      kind.questions.push_back(sample.question.question);
    }
    set.kinds.push_back(std::move(kind));
  }
  return set;
}

}  // namespace

ValidationSet MakeValidationSet(const world::World& world, const WorldText& text, int64_t count,
                                uint64_t seed) {
  return MakeSet(text, count, [&](size_t kind, int64_t i) {
    const std::string& name = world::Kinds()[kind];
    Random random = Random::Stream(seed + kind, static_cast<uint64_t>(i));
    world::Sample sample{world.MakeScene(world::Split::kValidation, name, static_cast<uint64_t>(i)), {}};
    sample.question = world.Ask(sample.scene, name, random);
    return sample;
  });
}

ValidationSet MakeTestSet(const world::World& world, const WorldText& text, int64_t count) {
  return MakeSet(text, count, [&](size_t kind, int64_t i) {
    return world::MakeSample(world, world::Split::kTest, world::Kinds()[kind], static_cast<uint64_t>(i));
  });
}

std::vector<std::vector<uint8_t>> ExactMatches(MobileVlmImpl& model, const ValidationSet& set, int visual,
                                               const VisualSource& source, DataParallel& parallel) {
  std::vector<Piece> pieces;
  std::vector<size_t> first_of;  // kind: its first sample among all
  size_t samples = 0;
  for (size_t k = 0; k < set.kinds.size(); ++k) {
    first_of.push_back(samples);
    samples += set.kinds[k].samples.size();
    for (size_t begin = 0; begin < set.kinds[k].samples.size(); begin += kBatch) {
      pieces.push_back({k, begin, std::min(begin + kBatch, set.kinds[k].samples.size())});
    }
  }
  std::vector<double> right(samples);
  parallel.ForEachOwned(pieces.size(), [&](size_t p) {
    const auto [k, begin, end] = pieces[p];
    const ValidationSet::Kind& kind = set.kinds[k];
    MicroBatch batch;
    batch.text = Collate(std::span(kind.samples).subspan(begin, end - begin), visual);
    source(kind, begin, end, batch);
    const std::vector<uint8_t> match = model.ExactMatch(batch);
    std::copy(match.begin(), match.end(), right.begin() + static_cast<ptrdiff_t>(first_of[k] + begin));
  });
  parallel.processes().Sum(right);
  std::vector<std::vector<uint8_t>> matches;
  for (size_t k = 0; k < set.kinds.size(); ++k) {
    const auto begin = right.begin() + static_cast<ptrdiff_t>(first_of[k]);
    matches.emplace_back(begin, begin + static_cast<ptrdiff_t>(set.kinds[k].samples.size()));
  }
  return matches;
}

nlohmann::json ExactMatchPerKind(MobileVlmImpl& model, const ValidationSet& set, int visual,
                                 const VisualSource& source, DataParallel& parallel) {
  const std::vector<std::vector<uint8_t>> matches = ExactMatches(model, set, visual, source, parallel);
  nlohmann::json report;
  double sum = 0;
  for (size_t k = 0; k < set.kinds.size(); ++k) {
    const double share =
        std::accumulate(matches[k].begin(), matches[k].end(), 0.0) / static_cast<double>(matches[k].size());
    report[set.kinds[k].name] = share;
    sum += share;
  }
  report["mean"] = sum / static_cast<double>(set.kinds.size());
  return report;
}

SeenSet SeenSet::Encode(ValidationSet set, const world::World& world, const ImageConfig& image,
                        ClipVisionTower& tower, DataParallel& parallel) {
  SeenSet seen;
  seen.set = std::move(set);
  for (const ValidationSet::Kind& kind : seen.set.kinds) {
    seen.features.push_back(EncodeScenes(world, image, tower, kind.scenes, parallel).to(torch::kHalf));
  }
  seen.blank = EncodeBlank(image, tower);
  return seen;
}

VisualSource SeenSet::Pictures() const {
  return [this](const ValidationSet::Kind& kind, size_t begin, size_t end, MicroBatch& batch) {
    const size_t k = static_cast<size_t>(&kind - set.kinds.data());
    batch.features =
        features[k].slice(0, static_cast<int64_t>(begin), static_cast<int64_t>(end)).to(torch::kFloat32);
  };
}

VisualSource SeenSet::Blank() const {
  return [this](const ValidationSet::Kind&, size_t begin, size_t end, MicroBatch& batch) {
    batch.features = blank.expand({static_cast<int64_t>(end - begin), -1, -1});
  };
}

}  // namespace mobilevlm::train
