// Figures of a whole set of answers: binary classification (POPE), pairs (MME), image-caption pairs
// (VL-CheckList). Pure functions; a figure of nothing is 0.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mobilevlm::eval {

double Mean(std::span<const double> values);

// Yes is positive.
struct BinaryCounts {
  size_t tp = 0, fp = 0, tn = 0, fn = 0;

  void Add(bool predicted, bool truth);
  size_t total() const { return tp + fp + tn + fn; }
  double accuracy() const;
  double precision() const;
  double recall() const;
  double f1() const;
  double yes_ratio() const;  // of the predictions
};

// MME: the two questions of one picture, both of them right or not.
struct MmePair {
  bool first = false, second = false;
};
// 100 accuracy + 100 accuracy of whole pairs: 0 to 200.
double MmeScore(std::span<const MmePair> pairs);
bool IsMmePerception(std::string_view category);
bool IsMmeCognition(std::string_view category);

// VL-CheckList: the scores of a true and a false caption of one picture.
struct CaptionPair {
  double positive = 0, negative = 0;
};
// Pairwise: the share of the first `most` / 2 pairs whose true caption scores strictly higher.
double VlcItc(std::span<const CaptionPair> pairs, size_t most);
// Each caption by itself, a match above 0.5; of the first `most` captions.
BinaryCounts VlcItm(std::span<const CaptionPair> pairs, size_t most);

// The probability of yes where only yes and no are possible.
double YesProbability(double yes_logit, double no_logit);

// Percent with two decimals, as the official tools print them.
double RoundedPercent(double share);
// Half to even on the decimal digits, as Python's round().
double RoundTo(double value, int decimals);

}  // namespace mobilevlm::eval
