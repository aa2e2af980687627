// GQA, testdev_balanced. LLaVA and MobileVLM report the accuracy alone.
#include <algorithm>
#include <array>
#include <map>

#include "eval/metrics/python_text.h"
#include "eval/metrics/string_metrics.h"
#include "eval/tasks/files.h"
#include "eval/tasks/task.h"

namespace mobilevlm::eval {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kSemantic = {{{"attr", "attribute"},
                                                                                     {"cat", "category"},
                                                                                     {"global", "scene"},
                                                                                     {"obj", "object"},
                                                                                     {"rel", "relation"}}};

// Programme steps, less those that only end one (eval.py, getStepsNum).
Result<size_t> CountSteps(const JsonRow& row) {
  MVLM_ASSIGN(const std::vector<JsonRow> programme, row.Rows("semantic"));
  size_t steps = 0;
  for (const JsonRow& step : programme) {
    MVLM_ASSIGN(const std::string operation, step.TextOr("operation", ""));
    MVLM_ASSIGN(const std::string argument, step.TextOr("argument", ""));
    const std::string text = operation + ": " + argument;
    const auto is_in_text = [&](std::string_view part) { return text.find(part) != std::string::npos; };
    steps += !is_in_text("exist") && !is_in_text("query: name") && !is_in_text("choose name");
  }
  return steps;
}

Status ReadLabels(const JsonRow& row, const std::string& text, Question& question) {
  MVLM_ASSIGN(const JsonRow types, row.At("types"));
  MVLM_ASSIGN(const std::string structural, types.String("structural"));
  MVLM_ASSIGN(const std::string semantic, types.String("semantic"));
  const auto known =
      std::find_if(kSemantic.begin(), kSemantic.end(), [&](const auto& s) { return s.first == semantic; });
  if (known == kSemantic.end()) return Fail("{}: \"semantic\": unknown type {}", types.where(), semantic);
  question.labels = {{"answer", structural == "query" ? "open" : "binary"},
                     {"structural type", structural},
                     {"semantic type", std::string(known->second)},
                     {"words", fmt::format("{:2}", SplitWords(text).size())}};
  if (row.Has("semantic")) {
    MVLM_ASSIGN(const size_t steps, CountSteps(row));
    question.labels.emplace_back("steps", std::to_string(steps));
  }
  if (row.Has("groups")) {
    MVLM_ASSIGN(const JsonRow groups, row.At("groups"));
    MVLM_ASSIGN(question.subset, groups.TextOr("global", ""));
  }
  return {};
}

Result<Benchmark> Load(const TaskOptions& options) {
  const std::string split = options.split.empty() ? "testdev_balanced" : options.split;
  Benchmark benchmark{.task = "gqa", .variant = split, .questions = {}, .notes = {}};
  MVLM_ASSIGN(const std::string path,
              FindFile(options.data, {split + "_questions.json", "questions/" + split + "_questions.json"}));
  if (!path.ends_with("testdev_balanced_questions.json"))
    benchmark.deviations.push_back("questions of " + path);
  MVLM_ASSIGN(const JsonDocument file, JsonDocument::Read(path));
  MVLM_ASSIGN(const auto members, file.root().Members());
  for (const auto& [id, row] : members) {
    MVLM_ASSIGN(const std::string balanced, row.TextOr("isBalanced", "true"));
    if (balanced != "true") continue;
    Question& question = benchmark.questions.emplace_back();
    question.where = row.where();
    question.id = id;
    question.id_is_number = false;
    MVLM_ASSIGN(const std::string text, row.String("question"));
    MVLM_ASSIGN(const std::string image, row.Text("imageId"));
    MVLM_ASSIGN(const std::string answer, row.String("answer"));
    question.prompt = text + std::string(kShortAnswer);
    question.references = {answer};
    question.image = ImageIn(options.data, {"images"}, image + ".jpg");
    MVLM_TRY(ReadLabels(row, text, question));
  }
  GroupByPicture(benchmark.questions);
  return benchmark;
}

std::string Reading(const ModelAnswer& answer) { return Lower(StripRight(answer.text, '.')); }

Judged Judge(const Question& question, const ModelAnswer& answer) {
  return {.score = GqaMatch(answer.text, question.references[0]) ? 1.0 : 0.0, .reading = Reading(answer)};
}

// How far the predicted answers of each global group are from the true ones: chi-square, weighted by the
// groups' sizes, / 100 (eval.py); lower is better.
double Distribution(const Benchmark& benchmark, const Answers& answers) {
  std::map<std::string, std::map<std::string, double>> gold, found;
  for (size_t i = 0; i < benchmark.questions.size(); ++i) {
    const Question& question = benchmark.questions[i];
    if (question.subset.empty()) continue;
    ++gold[question.subset][question.references[0]];
    if (answers[i]) ++found[question.subset][Reading(*answers[i])];
  }
  double sum = 0, overall = 0;
  for (const auto& [group, counts] : gold) {
    double score = 0, size = 0;
    for (const auto& [answer, expected] : counts) {
      const auto predicted = found[group].find(answer);
      const double observed = predicted == found[group].end() ? 0 : predicted->second;
      score += (observed - expected) * (observed - expected) / expected;
      size += expected;
    }
    sum += score * size;
    overall += size;
  }
  return overall > 0 ? sum / overall / 100 : 0;
}

ScoreSheet Score(const Benchmark& benchmark, const Answers& answers) {
  ScoreSheet sheet = JudgeAll(benchmark, answers, Judge);
  AddMean(sheet, "GQA accuracy");
  std::vector<double> lmms;
  for (size_t i = 0; i < benchmark.questions.size(); ++i) {
    lmms.push_back(answers[i] && GqaMatchLmms(answers[i]->text, benchmark.questions[i].references[0]));
  }
  sheet.figures.push_back(MeanFigure("GQA accuracy, lmms-eval", lmms));
  sheet.figures.push_back({.name = "GQA distribution (lower is better)",
                           .value = Distribution(benchmark, answers),
                           .unit = Unit::kPoints,
                           .count = benchmark.questions.size(),
                           .interval = {}});
  AddBreakdowns(benchmark, sheet);
  for (Breakdown& breakdown : sheet.breakdowns) {
    if (breakdown.dimension != "words" && breakdown.dimension != "steps") continue;
    std::sort(breakdown.figures.begin(), breakdown.figures.end(),
              [](const Figure& a, const Figure& b) { return a.name < b.name; });
  }
  AddUnits(benchmark, sheet);
  return sheet;
}

}  // namespace

const Task kGqa = {"gqa", "GQA", "testdev_balanced_questions.json, images/", Load, Score};

}  // namespace mobilevlm::eval
