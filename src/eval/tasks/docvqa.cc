// DocVQA, single page. ANLS as the challenge's script has it.
#include "eval/metrics/string_metrics.h"
#include "eval/tasks/files.h"
#include "eval/tasks/task.h"

namespace mobilevlm::eval {
namespace {

Result<Benchmark> Load(const TaskOptions& options) {
  const std::string split = options.split.empty() ? "val" : options.split;
  Benchmark benchmark{.task = "docvqa", .variant = split, .questions = {}, .notes = {}};
  MVLM_ASSIGN(
      const std::string path,
      FindFile(options.data, {split + "_v1.0_withQT.json", "spdocvqa_qas/" + split + "_v1.0_withQT.json",
                              split + "_v1.0.json", split + "/" + split + "_v1.0.json"}));
  MVLM_ASSIGN(const JsonDocument file, JsonDocument::Read(path));
  MVLM_ASSIGN(const std::vector<JsonRow> rows, file.root().Rows("data"));
  for (const JsonRow& row : rows) {
    Question& question = benchmark.questions.emplace_back();
    question.where = row.where();
    MVLM_ASSIGN(question.id, row.Text("questionId"));
    MVLM_ASSIGN(const std::string text, row.String("question"));
    MVLM_ASSIGN(std::string image, row.String("image"));
    question.prompt = text + std::string(kShortAnswer);
    // The newer release keeps the pages in another folder under the same name.
    constexpr std::string_view kOldFolder = "documents/";
    if (image.starts_with(kOldFolder)) image.erase(0, kOldFolder.size());
    question.image = ImageIn(options.data, {"documents", "spdocvqa_images", split + "/documents"}, image);
    if (row.Has("answers")) {  // the test split has none
      MVLM_ASSIGN(question.references, row.Strings("answers"));
    }
    if (row.Has("question_types")) {
      MVLM_ASSIGN(const std::vector<std::string> types, row.Strings("question_types"));
      for (const std::string& type : types) question.labels.emplace_back("question type", type);
    }
  }
  GroupByPicture(benchmark.questions);
  return benchmark;
}

Judged Judge(const Question& question, const ModelAnswer& answer) {
  return {.score = AnlsScore(answer.text, question.references, AnlsVariant::kRrc), .reading = answer.text};
}

ScoreSheet Score(const Benchmark& benchmark, const Answers& answers) {
  ScoreSheet sheet = JudgeAll(benchmark, answers, Judge);
  AddMean(sheet, "DocVQA ANLS");
  std::vector<double> paper;
  for (size_t i = 0; i < benchmark.questions.size(); ++i) {
    const auto& references = benchmark.questions[i].references;
    paper.push_back(answers[i] ? AnlsScore(answers[i]->text, references, AnlsVariant::kPix2struct) : 0);
  }
  sheet.figures.push_back(MeanFigure("DocVQA ANLS, half the length is 0 (pix2struct)", paper));
  AddBreakdowns(benchmark, sheet);
  AddUnits(benchmark, sheet);
  return sheet;
}

}  // namespace

const Task kDocVqa = {"docvqa", "DocVQA",
                      "val_v1.0.json and documents/, or val_v1.0_withQT.json and spdocvqa_images/", Load,
                      Score};

}  // namespace mobilevlm::eval
