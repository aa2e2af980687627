// ChartQA, test: human and augmented questions. Relaxed accuracy as pix2struct has it.
#include "eval/metrics/python_text.h"
#include "eval/metrics/set_metrics.h"
#include "eval/metrics/string_metrics.h"
#include "eval/tasks/files.h"
#include "eval/tasks/task.h"

namespace mobilevlm::eval {
namespace {

Status ReadSubset(const TaskOptions& options, const std::string& split, const std::string& subset,
                  Benchmark& benchmark) {
  const std::string name = split + "/" + split + "_" + subset + ".json";
  MVLM_ASSIGN(const std::string path, FindFile(options.data, {name, "ChartQA Dataset/" + name}));
  MVLM_ASSIGN(const JsonDocument file, JsonDocument::Read(path));
  MVLM_ASSIGN(const std::vector<JsonRow> rows, file.root().Elements());
  for (const JsonRow& row : rows) {
    Question& question = benchmark.questions.emplace_back();
    question.where = row.where();
    question.id = fmt::format("{}-{}", subset, &row - rows.data());  // the files have no ids
    question.id_is_number = false;
    MVLM_ASSIGN(const std::string text, row.String("query"));
    MVLM_ASSIGN(const std::string label, row.Text("label"));
    MVLM_ASSIGN(const std::string image, row.String("imgname"));
    question.prompt = text + std::string(kShortAnswer);
    question.references = {label};
    question.image = ImageIn(options.data, {split + "/png", "ChartQA Dataset/" + split + "/png"}, image);
    question.subset = subset;
    question.labels = {{"split", subset}};
  }
  return {};
}

Result<Benchmark> Load(const TaskOptions& options) {
  const std::string split = options.split.empty() ? "test" : options.split;
  Benchmark benchmark{.task = "chartqa", .variant = split, .questions = {}, .notes = {}};
  MVLM_TRY(ReadSubset(options, split, "human", benchmark));
  MVLM_TRY(ReadSubset(options, split, "augmented", benchmark));
  GroupByPicture(benchmark.questions);
  return benchmark;
}

Judged Judge(const Question& question, const ModelAnswer& answer) {
  const std::string text = Strip(answer.text);
  return {.score = RelaxedMatch(text, question.references[0]) ? 1.0 : 0.0, .reading = text};
}

ScoreSheet Score(const Benchmark& benchmark, const Answers& answers) {
  ScoreSheet sheet = JudgeAll(benchmark, answers, Judge);
  // The two splits are of equal size in the official files, where pooled is their mean.
  AddMean(sheet, "ChartQA relaxed accuracy");
  for (const std::string_view subset : {"human", "augmented"}) {
    const auto keep = [&](const Question& question) { return question.subset == subset; };
    sheet.figures.push_back(
        MeanFigure(fmt::format("ChartQA {}", subset), ScoresWhere(benchmark, sheet, keep)));
  }
  std::vector<double> strict;
  for (size_t i = 0; i < benchmark.questions.size(); ++i) {
    const std::string& target = benchmark.questions[i].references[0];
    strict.push_back(answers[i] && RelaxedMatchYearExact(Strip(answers[i]->text), target));
  }
  sheet.figures.push_back(MeanFigure("ChartQA relaxed accuracy, years exact (not official)", strict));
  AddUnits(benchmark, sheet);
  return sheet;
}

}  // namespace

const Task kChartQa = {"chartqa", "ChartQA", "test/test_human.json, test/test_augmented.json, test/png/",
                       Load, Score};

}  // namespace mobilevlm::eval
