#include "eval/answer_file.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "base/check.h"
#include "base/content_hash.h"
#include "base/read_file.h"
#include "eval/json_row.h"

namespace mobilevlm::eval {
namespace {

constexpr LineLog::Form kForm = {.begin = "{\"question_id\": ", .wanted = "a file that eval has written"};
constexpr size_t kIdDigits = 22;  // as long as LLaVA's
constexpr uint64_t kLargestAnswers = uint64_t{16} << 30;

std::string WriteNumber(double value) { return std::isfinite(value) ? fmt::format("{:.9g}", value) : "null"; }

std::string WriteRow(const Benchmark& benchmark, size_t index, const ModelAnswer& answer,
                     const std::string& model_id) {
  const Question& question = benchmark.questions[index];
  const std::string id = question.id_is_number ? question.id : JsonQuote(question.id);
  const std::string content = fmt::format("{}\n{}\n{}\n{}", model_id, index, question.id, question.prompt);
  const std::string answer_id = ToHex(HashBytes(content.data(), content.size())).substr(0, kIdDigits);
  std::string row = fmt::format("{}{}, \"prompt\": {}, \"text\": {}, ", kForm.begin, id,
                                JsonQuote(question.prompt), JsonQuote(answer.text));
  if (benchmark.task == "mmbench") {
    std::string texts, letters;
    for (const auto& [letter, text] : question.ListedOptions()) {
      texts += (texts.empty() ? "" : ", ") + JsonQuote(text);
      letters += fmt::format("{}\"{}\"", letters.empty() ? "" : ", ", letter);
    }
    row += fmt::format("\"round_id\": 0, \"options\": [{}], \"option_char\": [{}], ", texts, letters);
  }
  row += fmt::format("\"answer_id\": \"{}\", \"model_id\": {}, \"metadata\": {{\"index\": {}", answer_id,
                     JsonQuote(model_id), index);
  for (const auto& [name, value] : answer.scores)
    row += fmt::format(", {}: {}", JsonQuote(name), WriteNumber(value));
  return row + "}}";
}

std::vector<std::string_view> WholeLines(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t end; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1)) {
    lines.push_back(text.substr(0, end));
  }
  return lines;
}

Result<int64_t> IndexOf(const JsonRow& row) {
  MVLM_ASSIGN(const JsonRow metadata, row.At("metadata"));
  return metadata.Integer("index");
}

bool Together(const Question& a, const Question& b) {
  if (!a.group.empty() && a.group == b.group) return true;
  return a.image && b.image && a.image->name == b.image->name;
}

}  // namespace

Result<AnswerFile> AnswerFile::Open(const std::string& path, const Benchmark& benchmark,
                                    const std::string& model_id, size_t begin, size_t end) {
  AnswerFile file(benchmark, model_id, begin);
  MVLM_ASSIGN(LineLog log,
              LineLog::Open(path, kForm, [&](std::string_view line) { return file.ReadRow(line, end); }));
  file.log_.emplace(std::move(log));
  return file;
}

Status AnswerFile::ReadRow(std::string_view line, size_t end) {
  MVLM_ASSIGN(const JsonDocument document, JsonDocument::Parse(line, "row"));
  const JsonRow row = document.root();
  MVLM_ASSIGN(const std::string id, row.Text("question_id"));
  MVLM_ASSIGN(const std::string prompt, row.Text("prompt"));
  MVLM_ASSIGN(const std::string model, row.Text("model_id"));
  MVLM_ASSIGN(const int64_t index, IndexOf(row));
  const bool in_order = index >= static_cast<int64_t>(next_) && index < static_cast<int64_t>(end);
  const bool same = in_order && benchmark_->questions[static_cast<size_t>(index)].id == id &&
                    benchmark_->questions[static_cast<size_t>(index)].prompt == prompt && model == model_id_;
  if (!same)
    return Fail("not the next answer of this run (question {}, model {}); give another --out", id, model);
  next_ = static_cast<size_t>(index) + 1;
  ++rows_;
  return {};
}

Status AnswerFile::Append(size_t index, const ModelAnswer& answer) {
  MVLM_CHECK(index >= next_, "question {} before {}", index, next_);
  MVLM_TRY(log_->Append(WriteRow(*benchmark_, index, answer, model_id_)));
  next_ = index + 1;
  ++rows_;
  return {};
}

ShardRange ShardOf(const std::vector<Question>& questions, size_t number, size_t count) {
  MVLM_CHECK(number >= 1 && number <= count);
  const auto cut = [&](size_t part) {
    size_t at = questions.size() * part / count;
    while (at > 0 && at < questions.size() && Together(questions[at - 1], questions[at])) ++at;
    return at;
  };
  return {.begin = cut(number - 1), .end = cut(number)};
}

void LimitQuestions(size_t most, std::vector<Question>& questions) {
  size_t kept = std::min(most, questions.size());
  while (kept > 0 && kept < questions.size() && !questions[kept].group.empty() &&
         questions[kept].group == questions[kept - 1].group) {
    ++kept;
  }
  questions.erase(questions.begin() + static_cast<ptrdiff_t>(kept), questions.end());
}

Result<std::string> MergeAnswers(const std::vector<std::string>& paths) {
  struct Row {
    int64_t index;
    std::string_view line;
    const std::string* path;
  };
  std::vector<std::string> texts;
  texts.reserve(paths.size());
  std::vector<Row> rows;
  for (const std::string& path : paths) {
    MVLM_ASSIGN(std::string text, ReadFile(path, kLargestAnswers));
    texts.push_back(std::move(text));
    const std::string_view whole = texts.back();
    size_t number = 0;
    for (size_t begin = 0; begin < whole.size();) {
      const size_t end = whole.find('\n', begin);
      const std::string where = fmt::format("{}:{}", path, ++number);
      if (end == std::string_view::npos)
        return Fail("{}: the line has no end: the run was cut short; continue it", where);
      const std::string_view line = whole.substr(begin, end - begin);
      begin = end + 1;
      MVLM_ASSIGN(const JsonDocument document, JsonDocument::Parse(line, where));
      MVLM_ASSIGN(const int64_t index, IndexOf(document.root()));
      rows.push_back({index, line, &path});
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.index < b.index; });
  std::string merged;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i > 0 && rows[i].index == rows[i - 1].index) {
      return Fail("{} and {} both answer question {}", *rows[i - 1].path, *rows[i].path, rows[i].index);
    }
    merged += rows[i].line;
    merged += '\n';
  }
  return merged;
}

Result<bool> HoldsAllRows(const std::string& whole, const std::string& part) {
  MVLM_ASSIGN(const std::string whole_text, ReadFile(whole, kLargestAnswers));
  MVLM_ASSIGN(const std::string part_text, ReadFile(part, kLargestAnswers));
  const std::vector<std::string_view> rows = WholeLines(part_text), all = WholeLines(whole_text);
  const std::unordered_set<std::string_view> known(all.begin(), all.end());
  return !rows.empty() &&
         std::all_of(rows.begin(), rows.end(), [&](auto row) { return known.contains(row); });
}

}  // namespace mobilevlm::eval
