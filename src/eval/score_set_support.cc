#include "eval/score_set_support.h"

namespace mobilevlm::eval {

Result<std::vector<double>> Numbers(const JsonRow& list) {
  MVLM_ASSIGN(const Rows rows, list.Elements());
  std::vector<double> numbers;
  for (const JsonRow& row : rows) {
    MVLM_ASSIGN(const double number, row.AsNumber());
    numbers.push_back(number);
  }
  return numbers;
}

Result<std::vector<double>> NumbersAt(const JsonRow& row, std::string_view key) {
  MVLM_ASSIGN(const JsonRow list, row.At(key));
  return Numbers(list);
}

// A list of answers, null for one that is missing (which matches nothing).
Result<std::vector<std::string>> AnswerTexts(const JsonRow& line, std::string_view key) {
  MVLM_ASSIGN(const Rows rows, line.Rows(key));
  std::vector<std::string> answers;
  for (const JsonRow& row : rows) {
    if (row.IsNull()) {
      answers.emplace_back();
      continue;
    }
    MVLM_ASSIGN(std::string text, row.AsText());
    answers.push_back(std::move(text));
  }
  return answers;
}

Status SameSize(const JsonRow& line, size_t wanted, size_t found, std::string_view what) {
  if (wanted == found) return {};
  return Fail("{}: wanted {} {}, as many as predictions, found {}", line.where(), wanted, what, found);
}

Result<Options> ReadOptions(const JsonRow& extra) {
  MVLM_ASSIGN(const JsonRow listed, extra.At("options"));
  MVLM_ASSIGN(const auto members, listed.Members());
  Options options;
  for (const auto& [letter, text] : members) {
    if (letter.size() != 1 || letter[0] < 'A' || letter[0] > 'Z') {
      return Fail("{}: wanted letters as keys, found \"{}\"", listed.where(), letter);
    }
    MVLM_ASSIGN(std::string option, text.AsText());
    options.emplace_back(letter[0], std::move(option));
  }
  return options;
}

Result<std::string> Measure(const JsonRow& line) {
  MVLM_ASSIGN(const JsonRow extra, line.At("extra"));
  return extra.String("measure");
}

Result<double> Figure(const BinaryCounts& counts, const std::string& measure, const JsonRow& line) {
  if (measure == "accuracy" || measure == "acc") return counts.accuracy();
  if (measure == "precision") return counts.precision();
  if (measure == "recall") return counts.recall();
  if (measure == "f1") return counts.f1();
  if (measure == "yes_ratio") return counts.yes_ratio();
  return Fail("{}: \"measure\": wanted accuracy, precision, recall, f1 or yes_ratio, found {}", line.where(),
              measure);
}

}  // namespace mobilevlm::eval
