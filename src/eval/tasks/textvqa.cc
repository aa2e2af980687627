// TextVQA, val v0.5.1. LLaVA and MobileVLM ask with the OCR tokens of Rosetta in the prompt, VLMEvalKit and
// lmms-eval without (--no-ocr): two variants whose numbers do not stand beside each other.
#include <unordered_map>

#include "eval/metrics/python_text.h"
#include "eval/metrics/vqa.h"
#include "eval/tasks/files.h"
#include "eval/tasks/task.h"

namespace mobilevlm::eval {
namespace {

constexpr size_t kAnswers = 10;

using OcrTokens = std::unordered_map<std::string, std::string>;  // image id -> "A, B, C"

Result<OcrTokens> ReadOcr(const TaskOptions& options, const std::string& split) {
  if (!options.ocr_tokens || !options.questions.empty()) return OcrTokens{};
  OcrTokens tokens;
  const auto path = FindFile(options.data, {"TextVQA_Rosetta_OCR_v0.2_" + split + ".json"});
  if (!path) return Context(path.error(), "TextVQA with OCR tokens (--no-ocr asks without)");
  MVLM_ASSIGN(const JsonDocument file, JsonDocument::Read(*path));
  MVLM_ASSIGN(const std::vector<JsonRow> rows, file.root().Rows("data"));
  for (const JsonRow& row : rows) {
    MVLM_ASSIGN(const std::string id, row.Text("image_id"));
    MVLM_ASSIGN(const std::vector<std::string> words, row.Strings("ocr_tokens"));
    tokens[id] = fmt::format("{}", fmt::join(words, ", "));
  }
  return tokens;
}

Result<Benchmark> Load(const TaskOptions& options) {
  const std::string split = options.split.empty() ? "val" : options.split;
  Benchmark benchmark{.task = "textvqa",
                      .variant = options.ocr_tokens ? "with OCR tokens" : "without OCR tokens",
                      .questions = {},
                      .notes = {}};
  if (split != "val") benchmark.deviations.push_back("split " + split);
  if (!options.ocr_tokens) benchmark.deviations.push_back("asked without OCR tokens");
  MVLM_ASSIGN(const std::string path, FindFile(options.data, {"TextVQA_0.5.1_" + split + ".json"}));
  MVLM_ASSIGN(const JsonDocument file, JsonDocument::Read(path));
  MVLM_ASSIGN(OcrTokens ocr, ReadOcr(options, split));
  MVLM_ASSIGN(const std::vector<JsonRow> rows, file.root().Rows("data"));
  for (const JsonRow& row : rows) {
    Question& question = benchmark.questions.emplace_back();
    question.where = row.where();
    MVLM_ASSIGN(question.id, row.Text("image_id"));  // as LLaVA's file; several questions share it
    question.id_is_number = false;
    MVLM_ASSIGN(const std::string text, row.String("question"));
    MVLM_ASSIGN(question.references, row.Strings("answers"));
    if (question.references.size() != kAnswers) {
      return Fail("{}: wanted {} answers, found {}", row.where(), kAnswers, question.references.size());
    }
    question.prompt = Capitalize(text);
    if (options.ocr_tokens) question.prompt += "\nReference OCR token: " + ocr[question.id];
    question.prompt += kShortAnswer;
    question.image = ImageIn(options.data, {"train_images", "images"}, question.id + ".jpg");
  }
  if (options.questions.empty()) GroupByPicture(benchmark.questions);
  return benchmark;
}

Judged Judge(const Question& question, const ModelAnswer& answer) {
  return {.score = VqaScore(answer.text, question.references, VqaVariant::kM4c),
          .reading = VqaNormalise(answer.text, question.references, VqaVariant::kM4c)};
}

ScoreSheet Score(const Benchmark& benchmark, const Answers& answers) {
  ScoreSheet sheet = JudgeAll(benchmark, answers, Judge);
  AddMean(sheet, "TextVQA accuracy, " + benchmark.variant);
  AddUnits(benchmark, sheet);
  return sheet;
}

}  // namespace

const Task kTextVqa = {"textvqa", "TextVQA",
                       "TextVQA_0.5.1_val.json, TextVQA_Rosetta_OCR_v0.2_val.json, train_images/", Load,
                       Score};

}  // namespace mobilevlm::eval
