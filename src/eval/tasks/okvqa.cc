// OK-VQA: the val2014 questions are its test set. The references are stemmed ("ski" for skiing), predictions
// are not, as Qwen-VL, lmms-eval and LLaVA-style harnesses do it.
#include <algorithm>
#include <array>
#include <unordered_map>

#include "eval/metrics/vqa.h"
#include "eval/tasks/files.h"
#include "eval/tasks/task.h"

namespace mobilevlm::eval {
namespace {

constexpr size_t kAnswers = 10;
constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kTypes = {{
    {"one", "Vehicles and Transportation"},
    {"two", "Brands, Companies and Products"},
    {"three", "Objects, Material and Clothing"},
    {"four", "Sports and Recreation"},
    {"five", "Cooking and Food"},
    {"six", "Geography, History, Language and Culture"},
    {"seven", "People and Everyday Life"},
    {"eight", "Plants and Animals"},
    {"nine", "Science and Technology"},
    {"ten", "Weather and Climate"},
    {"other", "Other"},
}};

Status ReadAnnotation(const JsonRow& row, Question& question) {
  MVLM_ASSIGN(const std::vector<JsonRow> answers, row.Rows("answers"));
  if (answers.size() != kAnswers)
    return Fail("{}: wanted {} answers, found {}", row.where(), kAnswers, answers.size());
  for (const JsonRow& answer : answers) {
    MVLM_ASSIGN(std::string stemmed, answer.Text("answer"));
    MVLM_ASSIGN(std::string raw, answer.TextOr("raw_answer", stemmed));
    question.references.push_back(std::move(stemmed));
    question.raw_references.push_back(std::move(raw));
  }
  MVLM_ASSIGN(const std::string type, row.TextOr("question_type", "other"));
  const auto known =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& t) { return t.first == type; });
  if (known == kTypes.end()) return Fail("{}: \"question_type\": unknown type {}", row.where(), type);
  question.labels = {{"question type", std::string(known->second)}};
  return {};
}

Result<Benchmark> Load(const TaskOptions& options) {
  const std::string split = options.split.empty() ? "val2014" : options.split;
  Benchmark benchmark{.task = "okvqa", .variant = split, .questions = {}, .notes = {}};
  MVLM_ASSIGN(const std::string questions_path,
              FindFile(options.data, {"OpenEnded_mscoco_" + split + "_questions.json"}));
  MVLM_ASSIGN(const std::string annotations_path,
              FindFile(options.data, {"mscoco_" + split + "_annotations.json"}));
  MVLM_ASSIGN(const JsonDocument questions, JsonDocument::Read(questions_path));
  MVLM_ASSIGN(const JsonDocument annotations, JsonDocument::Read(annotations_path));
  MVLM_ASSIGN(const std::vector<JsonRow> rows, questions.root().Rows("questions"));
  MVLM_ASSIGN(const std::vector<JsonRow> truths, annotations.root().Rows("annotations"));
  std::unordered_map<std::string, const JsonRow*> by_id;
  for (const JsonRow& truth : truths) {
    MVLM_ASSIGN(const std::string id, truth.Text("question_id"));
    by_id[id] = &truth;
  }
  for (const JsonRow& row : rows) {
    Question& question = benchmark.questions.emplace_back();
    question.where = row.where();
    MVLM_ASSIGN(question.id, row.Text("question_id"));
    MVLM_ASSIGN(const std::string text, row.String("question"));
    MVLM_ASSIGN(const int64_t image, row.Integer("image_id"));
    question.prompt = text + std::string(kShortAnswer);
    question.image =
        ImageIn(options.data, {split, "images/" + split}, fmt::format("COCO_{}_{:012}.jpg", split, image));
    const auto truth = by_id.find(question.id);
    if (truth == by_id.end())
      return Fail("{}: {} has no question {}", row.where(), annotations_path, question.id);
    MVLM_TRY(ReadAnnotation(*truth->second, question));
  }
  GroupByPicture(benchmark.questions);
  return benchmark;
}

Judged Judge(const Question& question, const ModelAnswer& answer) {
  return {.score = VqaScore(answer.text, question.references, VqaVariant::kOfficial),
          .reading = VqaNormalise(answer.text, question.references, VqaVariant::kOfficial)};
}

ScoreSheet Score(const Benchmark& benchmark, const Answers& answers) {
  ScoreSheet sheet = JudgeAll(benchmark, answers, Judge);
  AddMean(sheet, "OK-VQA accuracy");
  std::vector<double> m4c, either;
  for (size_t i = 0; i < benchmark.questions.size(); ++i) {
    const Question& q = benchmark.questions[i];
    const std::string text = answers[i] ? answers[i]->text : "";
    m4c.push_back(answers[i] ? VqaScore(text, q.references, VqaVariant::kM4c) : 0);
    const double raw = answers[i] ? VqaScore(text, q.raw_references, VqaVariant::kOfficial) : 0;
    either.push_back(std::max(sheet.judged[i].score, raw));
  }
  sheet.figures.push_back(MeanFigure("OK-VQA accuracy, m4c", m4c));
  sheet.figures.push_back(MeanFigure("OK-VQA accuracy, stemmed or raw answers (not official)", either));
  AddBreakdowns(benchmark, sheet);
  AddUnits(benchmark, sheet);
  return sheet;
}

}  // namespace

const Task kOkVqa = {"okvqa", "OK-VQA",
                     "OpenEnded_mscoco_val2014_questions.json, mscoco_val2014_annotations.json, val2014/",
                     Load, Score};

}  // namespace mobilevlm::eval
