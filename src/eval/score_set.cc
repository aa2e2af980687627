#include "eval/score_set.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/check.h"
#include "eval/metrics/labels.h"
#include "eval/metrics/string_metrics.h"
#include "eval/score_set_support.h"

namespace mobilevlm::eval {
namespace {

struct Set {
  std::vector<std::string> predictions, references;
};

Result<Set> ReadSet(const JsonRow& line) {
  Set set;
  MVLM_ASSIGN(set.predictions, AnswerTexts(line, "prediction"));
  MVLM_ASSIGN(set.references, AnswerTexts(line, "references"));
  MVLM_TRY(SameSize(line, set.predictions.size(), set.references.size(), "references"));
  return set;
}

Result<double> PopeSet(const JsonRow& line) {
  MVLM_ASSIGN(const Set set, ReadSet(line));
  MVLM_ASSIGN(const std::string measure, Measure(line));
  BinaryCounts counts;
  for (size_t i = 0; i < set.predictions.size(); ++i) {
    counts.Add(PopeLabel(set.predictions[i]) == YesNo::kYes, set.references[i] == "yes");
  }
  return Figure(counts, measure, line);
}

Result<double> PopeCounts(const JsonRow& line) {
  MVLM_ASSIGN(const JsonRow extra, line.At("extra"));
  MVLM_ASSIGN(const std::string measure, extra.String("measure"));
  if (measure == "mean_f1") {
    MVLM_ASSIGN(const JsonRow subsets, extra.At("f1"));
    MVLM_ASSIGN(const auto members, subsets.Members());
    std::vector<double> f1;
    for (const auto& [name, value] : members) {
      MVLM_ASSIGN(const double number, value.AsNumber());
      f1.push_back(number);
    }
    return Mean(f1);
  }
  BinaryCounts counts;
  const std::array<std::pair<std::string_view, size_t*>, 4> cells = {
      {{"tp", &counts.tp}, {"fp", &counts.fp}, {"tn", &counts.tn}, {"fn", &counts.fn}}};
  for (const auto& [key, cell] : cells) {
    MVLM_ASSIGN(const int64_t count, extra.Integer(key));
    if (count < 0) return Fail("{}: \"{}\" is negative", extra.where(), key);
    *cell = static_cast<size_t>(count);
  }
  return Figure(counts, measure, line);
}

Result<double> MmeTask(const JsonRow& line) {
  MVLM_ASSIGN(const Rows found, line.Rows("prediction"));
  MVLM_ASSIGN(const Rows wanted, line.Rows("references"));
  MVLM_TRY(SameSize(line, found.size(), wanted.size(), "references"));
  std::vector<MmePair> pairs;
  for (size_t i = 0; i < found.size(); ++i) {
    MVLM_ASSIGN(const Rows answers, found[i].Elements());
    MVLM_ASSIGN(const Rows truths, wanted[i].Elements());
    if (answers.size() != 2 || truths.size() != 2) return Fail("{}: wanted pairs", found[i].where());
    std::array<bool, 2> right = {};
    for (size_t k = 0; k < 2; ++k) {
      MVLM_ASSIGN(const std::string answer, answers[k].AsText());
      MVLM_ASSIGN(const std::string truth, truths[k].AsText());
      right[k] = MmeLabel(answer) == MmeLabel(truth);
    }
    pairs.push_back({right[0], right[1]});
  }
  return MmeScore(pairs);
}

// {"existence": 125, "others": "nine tasks at 200"}: named tasks, and a perfect score for each of the rest
// where "others" stands for them.
Result<double> MmeTotal(const JsonRow& line) {
  constexpr double kPerfect = 200;
  constexpr int kPerceptionTasks = 10, kCognitionTasks = 4;
  MVLM_ASSIGN(const JsonRow extra, line.At("extra"));
  const bool perception = extra.Has("perception");
  MVLM_ASSIGN(const JsonRow tasks, extra.At(perception ? "perception" : "cognition"));
  MVLM_ASSIGN(const auto members, tasks.Members());
  double total = 0;
  int missing = perception ? kPerceptionTasks : kCognitionTasks;
  for (const auto& [name, value] : members) {
    if (name == "others") continue;
    if (!(perception ? IsMmePerception(name) : IsMmeCognition(name))) {
      return Fail("{}: no such task", value.where());
    }
    MVLM_ASSIGN(const double score, value.AsNumber());
    total += score;
    --missing;
  }
  return total + (tasks.Has("others") ? kPerfect * missing : 0);
}

Result<double> ChartQaSet(const JsonRow& line) {
  MVLM_ASSIGN(const Set set, ReadSet(line));
  MVLM_ASSIGN(const JsonRow extra, line.At("extra"));
  MVLM_ASSIGN(const std::vector<std::string> splits, extra.Strings("splits"));
  MVLM_ASSIGN(const std::string aggregate, extra.String("aggregate"));
  MVLM_TRY(SameSize(line, set.predictions.size(), splits.size(), "splits"));
  std::vector<std::pair<std::string, std::vector<double>>> by_split;
  std::vector<double> all;
  for (size_t i = 0; i < splits.size(); ++i) {
    auto split =
        std::find_if(by_split.begin(), by_split.end(), [&](const auto& s) { return s.first == splits[i]; });
    if (split == by_split.end()) split = by_split.insert(split, {splits[i], {}});
    split->second.push_back(RelaxedMatch(set.predictions[i], set.references[i]));
    all.push_back(split->second.back());
  }
  if (aggregate == "pooled") return Mean(all);
  if (aggregate != "mean_of_splits") {
    return Fail("{}: \"aggregate\": wanted pooled or mean_of_splits, found {}", line.where(), aggregate);
  }
  std::vector<double> means;
  for (const auto& [name, scores] : by_split) means.push_back(Mean(scores));
  return Mean(means);
}

// Percent, of the rows for which `keep` holds.
template <class Keep>
double PercentWhere(const std::vector<bool>& right, const Keep& keep) {
  std::vector<double> kept;
  for (size_t i = 0; i < right.size(); ++i) {
    if (keep(i)) kept.push_back(right[i]);
  }
  return RoundedPercent(Mean(kept));
}

Result<double> GqaSet(const JsonRow& line) {
  MVLM_ASSIGN(const Set set, ReadSet(line));
  MVLM_ASSIGN(const JsonRow extra, line.At("extra"));
  MVLM_ASSIGN(const std::string measure, extra.String("measure"));
  MVLM_ASSIGN(const std::vector<std::string> structural, extra.Strings("structural"));
  MVLM_ASSIGN(const std::vector<std::string> semantic, extra.Strings("semantic"));
  MVLM_TRY(SameSize(line, set.predictions.size(), structural.size(), "structural types"));
  MVLM_TRY(SameSize(line, set.predictions.size(), semantic.size(), "semantic types"));
  std::vector<bool> right;
  for (size_t i = 0; i < structural.size(); ++i)
    right.push_back(GqaMatch(set.predictions[i], set.references[i]));
  return PercentWhere(right, [&](size_t i) {
    if (measure == "accuracy") return true;
    if (measure == "open") return structural[i] == "query";
    if (measure == "binary") return structural[i] != "query";
    return structural[i] == measure || semantic[i] == measure;
  });
}

struct ScienceRow {
  bool right = false, answered = false, hint = false, image = false;
  int grade = 0;
  std::string subject;
};

Result<std::vector<ScienceRow>> ScienceRows(const JsonRow& extra) {
  MVLM_ASSIGN(const Rows rows, extra.Rows("rows"));
  std::vector<ScienceRow> read;
  for (const JsonRow& row : rows) {
    ScienceRow& to = read.emplace_back();
    to.answered = row.Has("text");
    MVLM_ASSIGN(const std::string text, row.TextOr("text", "FAILED"));
    MVLM_ASSIGN(const int64_t choices, row.Integer("n"));
    MVLM_ASSIGN(const int64_t answer, row.Integer("answer"));
    MVLM_ASSIGN(const std::string hint, row.TextOr("hint", ""));
    MVLM_ASSIGN(to.subject, row.String("subject"));
    MVLM_ASSIGN(const std::string grade, row.String("grade"));
    to.right = ScienceQaChoice(text, static_cast<int>(choices)) == answer;
    to.hint = !hint.empty();
    to.image = row.Has("image");
    std::from_chars(grade.data() + std::min<size_t>(5, grade.size()), grade.data() + grade.size(), to.grade);
  }
  return read;
}

Result<double> ScienceQaSet(const JsonRow& line) {
  MVLM_ASSIGN(const JsonRow extra, line.At("extra"));
  MVLM_ASSIGN(const std::string measure, extra.String("measure"));
  MVLM_ASSIGN(const std::vector<ScienceRow> rows, ScienceRows(extra));
  using Keep = bool (*)(const ScienceRow&);
  constexpr std::array<std::pair<std::string_view, Keep>, 12> kSubsets = {{
      {"accuracy", [](const ScienceRow&) { return true; }},
      {"avg", [](const ScienceRow&) { return true; }},
      {"img_accuracy_llava", [](const ScienceRow& r) { return r.image && r.answered; }},
      {"img_accuracy", [](const ScienceRow& r) { return r.image; }},
      {"nat", [](const ScienceRow& r) { return r.subject == "natural science"; }},
      {"soc", [](const ScienceRow& r) { return r.subject == "social science"; }},
      {"lan", [](const ScienceRow& r) { return r.subject == "language science"; }},
      {"txt", [](const ScienceRow& r) { return r.hint; }},
      {"img", [](const ScienceRow& r) { return r.image; }},
      {"no", [](const ScienceRow& r) { return !r.hint && !r.image; }},
      {"g1-6", [](const ScienceRow& r) { return r.grade >= 1 && r.grade <= 6; }},
      {"g7-12", [](const ScienceRow& r) { return r.grade >= 7 && r.grade <= 12; }},
  }};
  for (const auto& [name, keep] : kSubsets) {
    if (name != measure) continue;
    std::vector<double> scores;
    for (const ScienceRow& row : rows) {
      if (keep(row)) scores.push_back(row.right);
    }
    return RoundedPercent(Mean(scores));
  }
  return Fail("{}: \"measure\": no subset {}", line.where(), measure);
}

// The rows of one question. extra.options may give their texts; the default is the worked cases' example.
Result<std::vector<double>> MmBenchRows(const JsonRow& line) {
  MVLM_ASSIGN(const Set set, ReadSet(line));
  MVLM_ASSIGN(const JsonRow extra, line.At("extra"));
  Options options = {{'A', "teddy bear"}, {'B', "rabbit"}, {'C', "cat"}, {'D', "dog"}};
  if (extra.Has("options")) {
    MVLM_ASSIGN(options, ReadOptions(extra));
  }
  std::vector<double> right;
  for (size_t i = 0; i < set.predictions.size(); ++i) {
    const int choice = MmBenchChoice(set.predictions[i], options, MmBenchRule::kVlmEvalKit);
    right.push_back(set.references[i].size() == 1 && choice == set.references[i][0] - 'A');
  }
  return right;
}

Result<double> MmBenchCircular(const JsonRow& line) {
  MVLM_ASSIGN(const std::vector<double> right, MmBenchRows(line));
  return !right.empty() && std::all_of(right.begin(), right.end(), [](double r) { return r == 1; });
}

Result<double> MmBenchVanilla(const JsonRow& line) {
  MVLM_ASSIGN(const std::vector<double> right, MmBenchRows(line));
  return Mean(right);
}

Result<double> MmBenchMean(const JsonRow& line) {
  MVLM_ASSIGN(const std::vector<double> hits, NumbersAt(line, "prediction"));
  return Mean(hits);
}

Result<double> MmBenchLevel2(const JsonRow& line) {
  MVLM_ASSIGN(const std::vector<double> hits, NumbersAt(line, "prediction"));
  MVLM_ASSIGN(const std::vector<std::string> categories, line.Strings("references"));
  MVLM_ASSIGN(const JsonRow extra, line.At("extra"));
  MVLM_ASSIGN(const std::string category, extra.String("category"));
  MVLM_TRY(SameSize(line, hits.size(), categories.size(), "categories"));
  std::vector<double> kept;
  for (size_t i = 0; i < hits.size(); ++i) {
    if (categories[i] == category) kept.push_back(hits[i]);
  }
  return Mean(kept);
}

Result<double> SeedSet(const JsonRow& line) {
  constexpr std::array<std::string_view, 12> kTypes = {
      "Scene Understanding", "Instance Identity",  "Instance Attributes",  "Instance Location",
      "Instances Counting",  "Spatial Relation",   "Instance Interaction", "Visual Reasoning",
      "Text Understanding",  "Action Recognition", "Action Prediction",    "Procedure Understanding"};
  MVLM_ASSIGN(const Set set, ReadSet(line));
  MVLM_ASSIGN(const JsonRow extra, line.At("extra"));
  MVLM_ASSIGN(const std::string measure, extra.String("measure"));
  MVLM_ASSIGN(const std::vector<double> types, NumbersAt(extra, "types"));
  MVLM_ASSIGN(const std::vector<std::string> data_types, extra.Strings("data_type"));
  MVLM_TRY(SameSize(line, set.predictions.size(), types.size(), "types"));
  MVLM_TRY(SameSize(line, set.predictions.size(), data_types.size(), "data types"));
  const auto type = std::find(kTypes.begin(), kTypes.end(), measure);
  const bool known = type != kTypes.end() || measure == "Total accuracy" || measure == "image accuracy" ||
                     measure == "video accuracy";
  if (!known) return Fail("{}: \"measure\": no question type {}", line.where(), measure);
  std::vector<bool> right;
  for (size_t i = 0; i < types.size(); ++i) right.push_back(set.predictions[i] == set.references[i]);
  return PercentWhere(right, [&](size_t i) {
    if (type != kTypes.end()) return types[i] == static_cast<double>(type - kTypes.begin() + 1);
    return measure == "Total accuracy" || measure == data_types[i] + " accuracy";
  });
}

struct NamedSet {
  std::string_view name;
  Result<double> (*score)(const JsonRow&);
};
constexpr std::array kSets = {
    NamedSet{"chartqa_set", ChartQaSet},
    NamedSet{"gqa_set", GqaSet},
    NamedSet{"pope_set", PopeSet},
    NamedSet{"pope_counts", PopeCounts},
    NamedSet{"mme_task", MmeTask},
    NamedSet{"mme_total", MmeTotal},
    NamedSet{"mmbench_circular", MmBenchCircular},
    NamedSet{"mmbench_vanilla", MmBenchVanilla},
    NamedSet{"mmbench_acc", MmBenchMean},
    NamedSet{"mmbench_l2_acc", MmBenchLevel2},
    NamedSet{"sqa_set", ScienceQaSet},
    NamedSet{"sqa_breakdown", ScienceQaSet},
    NamedSet{"seed_set", SeedSet},
    NamedSet{"vlc_itc", VlcItcCase},
    NamedSet{"vlc_itm", VlcItmCase},
    NamedSet{"vlc_spoke", VlcSpoke},
    NamedSet{"vlc_group", VlcGroup},
    NamedSet{"vlc_pyes", VlcYes},
    NamedSet{"vlc_gptscore", VlcGptScore},
};

}  // namespace

std::vector<std::string> SetMetricNames() {
  std::vector<std::string> names;
  for (const NamedSet& set : kSets) names.emplace_back(set.name);
  return names;
}

Result<double> ScoreSet(const std::string& metric, const JsonRow& line) {
  const auto found =
      std::find_if(kSets.begin(), kSets.end(), [&](const NamedSet& set) { return set.name == metric; });
  MVLM_CHECK(found != kSets.end(), "{}", metric);
  return found->score(line);
}

}  // namespace mobilevlm::eval
