// SEED-Bench v1, its image part. LLaVA's script wants the letter exactly.
#include <algorithm>
#include <array>

#include "eval/metrics/python_text.h"
#include "eval/tasks/files.h"
#include "eval/tasks/task.h"

namespace mobilevlm::eval {
namespace {

constexpr std::array<std::string_view, 4> kChoices = {"choice_a", "choice_b", "choice_c", "choice_d"};

// "Scene Understanding" -> 1, the other way round.
Result<std::vector<std::pair<int64_t, std::string>>> ReadTypes(const JsonRow& root) {
  MVLM_ASSIGN(const JsonRow listed, root.At("question_type"));
  MVLM_ASSIGN(const auto members, listed.Members());
  std::vector<std::pair<int64_t, std::string>> types;
  for (const auto& [name, value] : members) {
    MVLM_ASSIGN(const int64_t number, listed.Integer(name));
    types.emplace_back(number, name);
  }
  return types;
}

Status ReadQuestion(const JsonRow& row, const TaskOptions& options,
                    const std::vector<std::pair<int64_t, std::string>>& types, Question& question) {
  question.where = row.where();
  MVLM_ASSIGN(question.id, row.Text("question_id"));
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  question.id_is_number = std::all_of(question.id.begin(), question.id.end(), is_digit);
  MVLM_ASSIGN(const std::string text, row.String("question"));
  for (const std::string_view key : kChoices) {
    MVLM_ASSIGN(std::string choice, row.Text(key));
    question.options.emplace_back(static_cast<char>('A' + question.options.size()), std::move(choice));
  }
  MVLM_ASSIGN(const std::string answer, row.String("answer"));
  if (answer.size() != 1 || answer[0] < 'A' || answer[0] > 'D') {
    return Fail("{}: \"answer\": wanted A to D, found {}", row.where(), answer);
  }
  question.references = {answer};
  question.prompt = MultipleChoicePrompt("", text, question.options);
  MVLM_ASSIGN(const std::string image, row.Text("data_id"));
  question.image = ImageIn(options.data, {"SEED-Bench-image"}, image);
  MVLM_ASSIGN(const int64_t type, row.Integer("question_type_id"));
  const auto known = std::find_if(types.begin(), types.end(), [&](const auto& t) { return t.first == type; });
  if (known == types.end()) return Fail("{}: \"question_type_id\": unknown type {}", row.where(), type);
  question.labels = {{"question type", known->second}};
  return {};
}

Result<Benchmark> Load(const TaskOptions& options) {
  Benchmark benchmark{.task = "seedbench", .variant = "image", .questions = {}, .notes = {}};
  MVLM_ASSIGN(const std::string path, FindFile(options.data, {"SEED-Bench.json"}));
  MVLM_ASSIGN(const JsonDocument file, JsonDocument::Read(path));
  MVLM_ASSIGN(const auto types, ReadTypes(file.root()));
  MVLM_ASSIGN(const std::vector<JsonRow> rows, file.root().Rows("questions"));
  size_t videos = 0;
  for (const JsonRow& row : rows) {
    MVLM_ASSIGN(const std::string data_type, row.TextOr("data_type", "image"));
    if (data_type != "image") {
      ++videos;
      continue;
    }
    MVLM_TRY(ReadQuestion(row, options, types, benchmark.questions.emplace_back()));
  }
  if (videos > 0) benchmark.notes.push_back(fmt::format("{} questions about videos left out", videos));
  GroupByPicture(benchmark.questions);
  return benchmark;
}

Judged Judge(const Question& question, const ModelAnswer& answer) {
  return {.score = answer.text == question.references[0] ? 1.0 : 0.0, .reading = answer.text};
}

ScoreSheet Score(const Benchmark& benchmark, const Answers& answers) {
  ScoreSheet sheet = JudgeAll(benchmark, answers, Judge);
  AddMean(sheet, "SEED-Bench image accuracy");
  std::vector<double> first_letter;
  for (size_t i = 0; i < benchmark.questions.size(); ++i) {
    const std::string text = answers[i] ? Lower(Strip(answers[i]->text)).substr(0, 1) : "";
    first_letter.push_back(text == Lower(benchmark.questions[i].references[0]));
  }
  sheet.figures.push_back(MeanFigure("SEED-Bench image accuracy, first letter (lmms-eval)", first_letter));
  AddBreakdowns(benchmark, sheet);
  AddUnits(benchmark, sheet);
  return sheet;
}

}  // namespace

const Task kSeedBench = {"seedbench", "SEED-Bench image",  "SEED-Bench.json, SEED-Bench-image/", Load,
                         Score,       /*has_splits=*/false};

}  // namespace mobilevlm::eval
