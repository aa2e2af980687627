// Accuracy per kind of question, beside what the same questions score with a blank picture: a kind that
// can be answered without looking measures the language model, not the eyes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mobilevlm::eval {

struct KindScore {
  std::string kind;
  int correct = 0;  // right answers with the picture
  int total = 0;
  int blank_correct = 0;  // right answers to the same questions with a blank picture
  int blank_total = 0;
  double chance = 0;  // expected share of the best answer given without looking, in [0, 1]
};

struct KindReport {
  std::vector<KindScore> kinds;

  // The entry of `kind`, appended if it is new.
  KindScore& At(std::string_view kind, double chance);
};

// A table of one line per kind: accuracy with its 95 % interval, blank-picture accuracy, chance.
std::string ToText(const KindReport& report);
// {"kinds": {"name": {"accuracy": 0.97, "low": .., "high": .., "blank": .., "chance": .., "questions": 400}}}
std::string ToJson(const KindReport& report);

}  // namespace mobilevlm::eval
