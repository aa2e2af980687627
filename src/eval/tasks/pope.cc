// POPE (COCO): is there such an object? The published figure is the mean F1 of the three subsets. LLaVA and
// MobileVLM use commit e3e39262 of the POPE repository, whose random subset has 2,910 rows.
#include <array>

#include "eval/metrics/set_metrics.h"
#include "eval/tasks/files.h"
#include "eval/tasks/task.h"

namespace mobilevlm::eval {
namespace {

constexpr std::array<std::string_view, 3> kSubsets = {"adversarial", "random", "popular"};  // LLaVA's order

Result<Benchmark> Load(const TaskOptions& options) {
  Benchmark benchmark{.task = "pope", .variant = "coco", .questions = {}, .notes = {}};
  for (const std::string_view subset : kSubsets) {
    const std::string name = fmt::format("coco_pope_{}.json", subset);
    MVLM_ASSIGN(const std::string path, FindFile(options.data, {"coco/" + name, name}));
    MVLM_ASSIGN(const JsonDocument file, JsonDocument::ReadLines(path));
    for (const JsonRow& row : file.lines()) {
      Question& question = benchmark.questions.emplace_back();
      question.where = row.where();
      question.id =
          std::to_string(benchmark.questions.size());  // LLaVA's numbering through the three subsets
      MVLM_ASSIGN(const std::string text, row.String("text"));
      MVLM_ASSIGN(const std::string image, row.String("image"));
      MVLM_ASSIGN(const std::string label, row.String("label"));
      if (label != "yes" && label != "no")
        return Fail("{}: \"label\": wanted yes or no, found {}", row.where(), label);
      question.prompt = text + std::string(kShortAnswer);
      question.references = {label};
      question.image = ImageIn(options.data, {"val2014", "images"}, image);
      question.subset = subset;
      question.labels = {{"subset", std::string(subset)}};
    }
  }
  return benchmark;
}

Judged Judge(const Question& question, const ModelAnswer& answer) {
  const std::string label = PopeLabel(answer.text) == YesNo::kYes ? "yes" : "no";
  return {.score = label == question.references[0] ? 1.0 : 0.0, .reading = label};
}

// The prediction that a judged question stands for: an unanswered one is wrong.
bool SaysYes(const Question& question, const Judged& judged) {
  return judged.score == 1 ? question.references[0] == "yes" : question.references[0] == "no";
}

BinaryCounts Count(const Benchmark& benchmark, const ScoreSheet& sheet, std::string_view subset,
                   std::span<const size_t> sample) {
  BinaryCounts counts;
  for (const size_t i : sample) {
    const Question& question = benchmark.questions[i];
    if (question.subset == subset)
      counts.Add(SaysYes(question, sheet.judged[i]), question.references[0] == "yes");
  }
  return counts;
}

// The questions of one subset.
std::vector<size_t> Members(const Benchmark& benchmark, std::string_view subset) {
  std::vector<size_t> members;
  for (size_t i = 0; i < benchmark.questions.size(); ++i) {
    if (benchmark.questions[i].subset == subset) members.push_back(i);
  }
  return members;
}

void AddSubset(const Benchmark& benchmark, std::string_view subset, ScoreSheet& sheet) {
  const std::vector<size_t> members = Members(benchmark, subset);
  if (members.empty()) return;
  Breakdown& breakdown = sheet.breakdowns.emplace_back();
  breakdown.dimension = fmt::format("subset {}", subset);
  using Measure = double (BinaryCounts::*)() const;
  constexpr std::array<std::pair<std::string_view, Measure>, 5> kMeasures = {
      {{"F1", &BinaryCounts::f1},
       {"accuracy", &BinaryCounts::accuracy},
       {"precision", &BinaryCounts::precision},
       {"recall", &BinaryCounts::recall},
       {"yes ratio", &BinaryCounts::yes_ratio}}};
  for (const auto& [name, of] : kMeasures) {
    breakdown.figures.push_back(ResampledFigure(
        std::string(name), members.size(), Unit::kPercent, [&, measure = of](std::span<const size_t> sample) {
          std::vector<size_t> chosen;
          for (const size_t index : sample) chosen.push_back(members[index]);
          return 100 * (Count(benchmark, sheet, subset, chosen).*measure)();
        }));
  }
}

ScoreSheet Score(const Benchmark& benchmark, const Answers& answers) {
  ScoreSheet sheet = JudgeAll(benchmark, answers, Judge);
  std::vector<std::string_view> present;
  for (const std::string_view subset : kSubsets) {
    if (!Members(benchmark, subset).empty()) present.push_back(subset);
  }
  if (present.size() < kSubsets.size())
    sheet.notes.push_back("not all three subsets are there: the mean is of those that are");
  const auto mean_f1 = [&](std::span<const size_t> sample) {
    double sum = 0;
    for (const std::string_view subset : present) sum += Count(benchmark, sheet, subset, sample).f1();
    return present.empty() ? 0 : 100 * sum / static_cast<double>(present.size());
  };
  sheet.figures.push_back(
      ResampledFigure("POPE mean F1", benchmark.questions.size(), Unit::kPercent, mean_f1));
  AddMean(sheet, "POPE accuracy, all subsets");
  for (const std::string_view subset : kSubsets) AddSubset(benchmark, subset, sheet);
  AddUnits(benchmark, sheet);
  return sheet;
}

}  // namespace

const Task kPope = {"pope",
                    "POPE",
                    "coco/coco_pope_{adversarial,random,popular}.json, val2014/",
                    Load,
                    Score,
                    /*has_splits=*/false};

}  // namespace mobilevlm::eval
