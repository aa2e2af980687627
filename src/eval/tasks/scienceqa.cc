// ScienceQA, test split. MobileVLM's table has the accuracy of the questions with a picture ("SQA-I").
// Pictures are not padded: the official script calls the CLIP processor, which crops.
#include <charconv>

#include "eval/tasks/files.h"
#include "eval/tasks/task.h"

namespace mobilevlm::eval {
namespace {

constexpr size_t kMostChoices = 5;

Result<Question> ReadProblem(const std::string& id, const JsonRow& row, const TaskOptions& options,
                             const std::string& split) {
  Question question;
  question.id = id;
  question.id_is_number = false;
  question.where = row.where();
  MVLM_ASSIGN(const std::string text, row.String("question"));
  MVLM_ASSIGN(const std::string hint, row.TextOr("hint", ""));
  MVLM_ASSIGN(const std::vector<std::string> choices, row.Strings("choices"));
  MVLM_ASSIGN(const int64_t answer, row.Integer("answer"));
  if (choices.size() < 2 || choices.size() > kMostChoices || answer < 0 ||
      answer >= static_cast<int64_t>(choices.size())) {
    return Fail("{}: wanted 2 to {} choices and the answer's place among them, found {} and {}", row.where(),
                kMostChoices, choices.size(), answer);
  }
  for (const std::string& choice : choices) {
    question.options.emplace_back(static_cast<char>('A' + question.options.size()), choice);
  }
  question.references = {std::string(1, static_cast<char>('A' + answer))};
  question.prompt = MultipleChoicePrompt(hint.empty() ? "" : "Context: " + hint, text, question.options);
  if (row.Has("image")) {
    MVLM_ASSIGN(const std::string image, row.String("image"));
    question.image = ImageIn(options.data, {"images/" + split, split, "images"}, id + "/" + image);
  }
  MVLM_ASSIGN(const std::string subject, row.TextOr("subject", ""));
  MVLM_ASSIGN(const std::string topic, row.TextOr("topic", ""));
  MVLM_ASSIGN(const std::string grade, row.TextOr("grade", ""));
  int year = 0;
  if (grade.starts_with("grade")) std::from_chars(grade.data() + 5, grade.data() + grade.size(), year);
  question.labels = {{"subject", subject}, {"topic", topic}};
  if (year >= 1 && year <= 12) question.labels.emplace_back("grade", year <= 6 ? "G1-6" : "G7-12");
  if (!hint.empty()) question.labels.emplace_back("context", "TXT (hint)");
  if (question.image) question.labels.emplace_back("context", "IMG (picture)");
  if (hint.empty() && !question.image) question.labels.emplace_back("context", "NO (neither)");
  return question;
}

Result<Benchmark> Load(const TaskOptions& options) {
  const std::string split = options.split.empty() ? "test" : options.split;
  Benchmark benchmark{.task = "scienceqa",
                      .variant = split,
                      .questions = {},
                      .max_tokens = 1024,
                      .fit = ImageFit::kCrop,
                      .notes = {}};
  if (split != "test") benchmark.deviations.push_back("split " + split);
  MVLM_ASSIGN(const std::string problems_path, FindFile(options.data, {"problems.json"}));
  MVLM_ASSIGN(const std::string splits_path, FindFile(options.data, {"pid_splits.json"}));
  MVLM_ASSIGN(const JsonDocument problems, JsonDocument::Read(problems_path));
  MVLM_ASSIGN(const JsonDocument splits, JsonDocument::Read(splits_path));
  MVLM_ASSIGN(const std::vector<std::string> ids, splits.root().Strings(split));
  // The "mini" splits take their pictures from the whole ones.
  const std::string folder = split.starts_with("mini") ? split.substr(4) : split;
  for (const std::string& id : ids) {
    const auto row = problems.root().At(id);
    if (!row)
      return Fail("{}: split {} has the id {}, which {} has not", splits_path, split, id, problems_path);
    MVLM_ASSIGN(Question question, ReadProblem(id, *row, options, folder));
    benchmark.questions.push_back(std::move(question));
  }
  return benchmark;
}

Judged Judge(const Question& question, const ModelAnswer& answer) {
  const int choice = ScienceQaChoice(answer.text, static_cast<int>(question.options.size()));
  const std::string letter = choice == kNoChoice ? "" : std::string(1, static_cast<char>('A' + choice));
  return {.score = letter == question.references[0] ? 1.0 : 0.0, .reading = letter};
}

ScoreSheet Score(const Benchmark& benchmark, const Answers& answers) {
  ScoreSheet sheet = JudgeAll(benchmark, answers, Judge);
  const auto with_picture = [](const Question& question) { return question.image.has_value(); };
  sheet.figures.push_back(MeanFigure("ScienceQA IMG accuracy", ScoresWhere(benchmark, sheet, with_picture)));
  AddMean(sheet, "ScienceQA accuracy");
  // LLaVA's script takes the prompt of the answer file, so that an unanswered question leaves the
  // denominator.
  std::vector<double> answered;
  for (size_t i = 0; i < benchmark.questions.size(); ++i) {
    if (benchmark.questions[i].image && answers[i]) answered.push_back(sheet.judged[i].score);
  }
  sheet.figures.push_back(MeanFigure("ScienceQA IMG accuracy, of answered (LLaVA's script)", answered));
  AddBreakdowns(benchmark, sheet);
  AddUnits(benchmark, sheet);
  return sheet;
}

}  // namespace

const Task kScienceQa = {"scienceqa", "ScienceQA", "problems.json, pid_splits.json, images/test/ID/image.png",
                         Load, Score};

}  // namespace mobilevlm::eval
