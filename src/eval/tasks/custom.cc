// One's own questions: JSON lines {"image", "question", "answers" or "answer", "metric", "id"}. Paths are
// relative to the file. The metric is one of `eval score` that compares a text with references, or "exact"
// (outer white space, one full stop and case do not count), which is the default.
#include <algorithm>
#include <array>
#include <filesystem>

#include "eval/exact_match.h"
#include "eval/score_case.h"
#include "eval/tasks/files.h"
#include "eval/tasks/task.h"

namespace mobilevlm::eval {
namespace {

constexpr std::string_view kExact = "exact";
constexpr std::array<std::string_view, 7> kKeys = {"id",     "image",  "question", "answers",
                                                   "answer", "metric", "category"};

Status ReadQuestion(const JsonRow& row, const std::filesystem::path& root, Question& question) {
  MVLM_ASSIGN(const auto members, row.Members());
  for (const auto& [key, value] : members) {
    if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) {
      return Fail("{}: unknown key \"{}\"; wanted {}", row.where(), key, fmt::join(kKeys, ", "));
    }
  }
  question.where = row.where();
  question.id_is_number = false;
  MVLM_ASSIGN(question.id, row.TextOr("id", question.id));
  MVLM_ASSIGN(question.prompt, row.String("question"));
  MVLM_ASSIGN(question.metric, row.TextOr("metric", kExact));
  if (row.Has("answers")) {
    MVLM_ASSIGN(question.references, row.Strings("answers"));
  } else {
    MVLM_ASSIGN(const std::string answer, row.Text("answer"));
    question.references = {answer};
  }
  if (question.references.empty())
    return Fail("{}: \"answers\": wanted at least one, found none", row.where());
  if (question.metric != kExact) {
    if (const auto known = ScoreText(question.metric, "", question.references); !known) {
      return Context(known.error(), "{}", row.where());
    }
  }
  if (row.Has("image")) {
    MVLM_ASSIGN(const std::string image, row.String("image"));
    question.image = ImageSource{.name = (root / image).string(), .make = {}};
  }
  if (row.Has("category")) {
    MVLM_ASSIGN(std::string category, row.Text("category"));
    question.labels = {{"category", std::move(category)}};
  }
  question.labels.emplace_back("metric", question.metric);
  return {};
}

Result<Benchmark> Load(const TaskOptions& options) {
  Benchmark benchmark{.task = "custom", .variant = "", .questions = {}, .notes = {}};
  MVLM_ASSIGN(const std::string path, FindFile(options.data, {"questions.jsonl"}));
  benchmark.variant = std::filesystem::path(path).filename().string();
  MVLM_ASSIGN(const JsonDocument file, JsonDocument::ReadLines(path));
  for (const JsonRow& row : file.lines()) {
    Question& question = benchmark.questions.emplace_back();
    question.id = std::to_string(benchmark.questions.size());
    MVLM_TRY(ReadQuestion(row, std::filesystem::path(path).parent_path(), question));
  }
  return benchmark;
}

Judged Judge(const Question& question, const ModelAnswer& answer) {
  if (question.metric == kExact) {
    const bool right =
        std::any_of(question.references.begin(), question.references.end(),
                    [&](const std::string& reference) { return ExactMatch(answer.text, reference); });
    return {.score = right ? 1.0 : 0.0, .reading = NormaliseAnswer(answer.text)};
  }
  return {.score = ScoreText(question.metric, answer.text, question.references).value_or(0),
          .reading = answer.text};
}

ScoreSheet Score(const Benchmark& benchmark, const Answers& answers) {
  ScoreSheet sheet = JudgeAll(benchmark, answers, Judge);
  AddMean(sheet, "custom score");
  AddBreakdowns(benchmark, sheet);
  AddUnits(benchmark, sheet);
  return sheet;
}

}  // namespace

const Task kCustom = {
    "custom", "custom questions",  "one JSONL file (or questions.jsonl in a directory)", Load,
    Score,    /*has_splits=*/false};

}  // namespace mobilevlm::eval
