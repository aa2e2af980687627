// VizWiz-VQA, val. The test answers are not public; LLaVA uploads test answers to a server, whose text is
// normalised as m4c does it, so val is scored that way here.
#include "eval/metrics/python_text.h"
#include "eval/metrics/vqa.h"
#include "eval/tasks/files.h"
#include "eval/tasks/task.h"

namespace mobilevlm::eval {
namespace {

constexpr size_t kAnswers = 10;
constexpr std::string_view kUnanswerable =
    "\nWhen the provided information is insufficient, respond with 'Unanswerable'.";

Result<Benchmark> Load(const TaskOptions& options) {
  const std::string split = options.split.empty() ? "val" : options.split;
  Benchmark benchmark{.task = "vizwiz", .variant = split, .questions = {}, .notes = {}};
  MVLM_ASSIGN(const std::string path,
              FindFile(options.data, {split + ".json", "Annotations/" + split + ".json"}));
  MVLM_ASSIGN(const JsonDocument file, JsonDocument::Read(path));
  MVLM_ASSIGN(const std::vector<JsonRow> rows, file.root().Elements());
  for (const JsonRow& row : rows) {
    Question& question = benchmark.questions.emplace_back();
    question.where = row.where();
    question.id = std::to_string(&row - rows.data());
    MVLM_ASSIGN(const std::string text, row.String("question"));
    MVLM_ASSIGN(const std::string image, row.String("image"));
    question.prompt = Capitalize(text) + std::string(kUnanswerable) + std::string(kShortAnswer);
    question.image = ImageIn(options.data, {split}, image);
    if (!row.Has("answers")) continue;  // test
    MVLM_ASSIGN(const std::vector<JsonRow> answers, row.Rows("answers"));
    if (answers.size() != kAnswers)
      return Fail("{}: wanted {} answers, found {}", row.where(), kAnswers, answers.size());
    for (const JsonRow& answer : answers) {
      MVLM_ASSIGN(std::string reference, answer.Text("answer"));
      question.references.push_back(std::move(reference));
    }
    MVLM_ASSIGN(const std::string type, row.TextOr("answer_type", ""));
    if (!type.empty()) question.labels.emplace_back("answer type", type);
  }
  return benchmark;
}

Judged Judge(const Question& question, const ModelAnswer& answer) {
  return {.score = VqaScore(answer.text, question.references, VqaVariant::kM4c),
          .reading = VqaNormalise(answer.text, question.references, VqaVariant::kM4c)};
}

ScoreSheet Score(const Benchmark& benchmark, const Answers& answers) {
  ScoreSheet sheet = JudgeAll(benchmark, answers, Judge);
  AddMean(sheet, "VizWiz accuracy, m4c");
  AddBreakdowns(benchmark, sheet);
  AddUnits(benchmark, sheet);
  return sheet;
}

}  // namespace

const Task kVizWiz = {"vizwiz", "VizWiz-VQA", "val.json, val/", Load, Score};

}  // namespace mobilevlm::eval
