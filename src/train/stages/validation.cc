#include "train/stages/validation.h"

#include <algorithm>
#include <numeric>

namespace mobilevlm::train {
namespace {

constexpr size_t kBatch = 16;

struct Piece {
  size_t kind, begin, end;
};

}  // namespace

ValidationSet MakeValidationSet(const world::World& world, const WorldText& text, int64_t count,
                                uint64_t seed) {
  ValidationSet set;
  for (const std::string& name : world::Kinds()) {
    ValidationSet::Kind kind{name, {}, {}, {}};
    for (int64_t i = 0; i < count; ++i) {
      Random random = Random::Stream(seed + set.kinds.size(), static_cast<uint64_t>(i));
      kind.scenes.push_back(world.MakeScene(world::Split::kValidation, name, static_cast<uint64_t>(i)));
      const world::Question question = world.Ask(kind.scenes.back(), name, random);
      kind.samples.push_back(text.Single(question));
      kind.questions.push_back(question.question);
    }
    set.kinds.push_back(std::move(kind));
  }
  return set;
}

nlohmann::json ExactMatchPerKind(MobileVlmImpl& model, const ValidationSet& set, int visual,
                                 const VisualSource& source, DataParallel& parallel) {
  std::vector<Piece> pieces;
  for (size_t k = 0; k < set.kinds.size(); ++k) {
    for (size_t begin = 0; begin < set.kinds[k].samples.size(); begin += kBatch) {
      pieces.push_back({k, begin, std::min(begin + kBatch, set.kinds[k].samples.size())});
    }
  }
  std::vector<double> right(pieces.size());
  parallel.ForEachOwned(pieces.size(), [&](size_t p) {
    const auto [k, begin, end] = pieces[p];
    const ValidationSet::Kind& kind = set.kinds[k];
    MicroBatch batch;
    batch.text = Collate(std::span(kind.samples).subspan(begin, end - begin), visual);
    source(kind, begin, end, batch);
    const std::vector<uint8_t> match = model.ExactMatch(batch);
    right[p] = std::accumulate(match.begin(), match.end(), 0.0);
  });
  parallel.processes().Sum(right);
  nlohmann::json report;
  double sum = 0;
  for (size_t k = 0; k < set.kinds.size(); ++k) {
    double total = 0;
    for (size_t p = 0; p < pieces.size(); ++p) total += pieces[p].kind == k ? right[p] : 0.0;
    const double share = total / static_cast<double>(set.kinds[k].samples.size());
    report[set.kinds[k].name] = share;
    sum += share;
  }
  report["mean"] = sum / static_cast<double>(set.kinds.size());
  return report;
}

}  // namespace mobilevlm::train
