// The set metrics of VL-CheckList.
#include "eval/score_set_support.h"

namespace mobilevlm::eval {
namespace {

constexpr size_t kVlcMost = 2000;  // MAX_NUM of the official configuration

struct VlcInput {
  std::vector<CaptionPair> pairs;
  size_t most = kVlcMost;
};

Result<VlcInput> ReadVlc(const JsonRow& line) {
  VlcInput input;
  MVLM_ASSIGN(const Rows rows, line.Rows("prediction"));
  for (const JsonRow& row : rows) {
    MVLM_ASSIGN(const std::vector<double> scores, Numbers(row));
    if (scores.size() != 2) return Fail("{}: wanted the scores of a true and a false caption", row.where());
    input.pairs.push_back({scores[0], scores[1]});
  }
  MVLM_ASSIGN(const JsonRow extra, line.At("extra"));
  if (extra.Has("max_num")) {
    MVLM_ASSIGN(const int64_t most, extra.Integer("max_num"));
    if (most < 0) return Fail("{}: \"max_num\" is negative", extra.where());
    input.most = static_cast<size_t>(most);
  }
  return input;
}

}  // namespace

Result<double> VlcItcCase(const JsonRow& line) {
  MVLM_ASSIGN(const VlcInput input, ReadVlc(line));
  return RoundTo(VlcItc(input.pairs, input.most), 4);
}

Result<double> VlcItmCase(const JsonRow& line) {
  MVLM_ASSIGN(const VlcInput input, ReadVlc(line));
  MVLM_ASSIGN(const std::string measure, Measure(line));
  MVLM_ASSIGN(const double figure, Figure(VlcItm(input.pairs, input.most), measure, line));
  return RoundTo(figure, 4);
}

Result<double> VlcSpoke(const JsonRow& line) {
  MVLM_ASSIGN(const JsonRow extra, line.At("extra"));
  MVLM_ASSIGN(const JsonRow corpora, extra.At("corpora"));
  MVLM_ASSIGN(const auto members, corpora.Members());
  std::vector<double> means;
  for (const auto& [name, files] : members) {
    MVLM_ASSIGN(const std::vector<double> accuracies, Numbers(files));
    means.push_back(Mean(accuracies));
  }
  return Mean(means);
}

Result<double> VlcGroup(const JsonRow& line) {
  MVLM_ASSIGN(const std::vector<double> spokes, NumbersAt(line, "prediction"));
  return Mean(spokes);
}

Result<double> VlcYes(const JsonRow& line) {
  MVLM_ASSIGN(const std::vector<double> logits, NumbersAt(line, "prediction"));
  if (logits.size() != 2) return Fail("{}: \"prediction\": wanted the logits of yes and no", line.where());
  return YesProbability(logits[0], logits[1]);
}

// Mean log-probabilities of the tokens of two captions: whether the true one is right or, as the case asks,
// wrong.
Result<double> VlcGptScore(const JsonRow& line) {
  MVLM_ASSIGN(const Rows captions, line.Rows("prediction"));
  if (captions.size() != 2) return Fail("{}: \"prediction\": wanted two lists", line.where());
  MVLM_ASSIGN(const std::vector<double> positive, Numbers(captions[0]));
  MVLM_ASSIGN(const std::vector<double> negative, Numbers(captions[1]));
  MVLM_ASSIGN(const std::string measure, Measure(line));
  if (measure == "positive") return Mean(positive);
  if (measure == "negative") return Mean(negative);
  const bool right = Mean(positive) > Mean(negative);
  return measure == "is_wrong" ? !right : right;
}

}  // namespace mobilevlm::eval
