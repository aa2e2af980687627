#include "eval/tasks/answers.h"

#include <algorithm>
#include <unordered_map>

#include "eval/json_row.h"
#include "eval/metrics/python_text.h"

namespace mobilevlm::eval {
namespace {

constexpr std::string_view kOcrMarker = "Reference OCR token: ";

class Joiner {
 public:
  explicit Joiner(const Benchmark& benchmark) : benchmark_(benchmark), answers_(benchmark.questions.size()) {
    for (size_t i = 0; i < benchmark.questions.size(); ++i) by_id_[benchmark.questions[i].id].push_back(i);
  }

  Status Add(const JsonRow& row) {
    MVLM_ASSIGN(const std::string id, row.Text("question_id"));
    MVLM_ASSIGN(const std::string prompt, row.TextOr("prompt", ""));
    ModelAnswer answer;
    MVLM_ASSIGN(answer.text, row.TextOr("text", ""));
    MVLM_TRY(ReadScores(row, answer));
    const auto found = by_id_.find(id);
    if (found == by_id_.end())
      return Fail("{}: no question of {} has the id {}", row.where(), benchmark_.task, id);
    MVLM_ASSIGN(const size_t index, Choose(row, found->second, prompt));
    if (answers_[index]) return Fail("{}: question {} is answered twice", row.where(), id);
    answers_[index] = std::move(answer);
    return {};
  }

  Answers Take() { return std::move(answers_); }

 private:
  // Numbers in the metadata.
  static Status ReadScores(const JsonRow& row, ModelAnswer& answer) {
    if (!row.Has("metadata")) return {};
    MVLM_ASSIGN(const JsonRow metadata, row.At("metadata"));
    if (!metadata.IsObject()) return {};
    MVLM_ASSIGN(const auto members, metadata.Members());
    for (const auto& [name, value] : members) {
      if (const auto number = value.AsNumber()) answer.scores.emplace_back(name, *number);
    }
    return {};
  }

  // Of the questions with the row's id, the one with its prompt; of equal ones, the first without an answer.
  Result<size_t> Choose(const JsonRow& row, const std::vector<size_t>& indices,
                        const std::string& prompt) const {
    const std::string line = QuestionLine(prompt);
    std::optional<size_t> choice;
    for (const size_t index : indices) {
      const Question& question = benchmark_.questions[index];
      if (question.prompt != prompt && QuestionLine(question.prompt) != line) continue;
      if (!choice || (answers_[*choice] && !answers_[index])) choice = index;
      if (question.prompt == prompt && !answers_[index]) return index;
    }
    if (choice) return *choice;
    // An id of its own is enough where the prompt is left out or has other instructions around it.
    if (indices.size() == 1) {
      const std::string wanted = QuestionLine(benchmark_.questions[indices[0]].prompt);
      if (line.find(wanted) != std::string::npos || wanted.find(line) != std::string::npos) return indices[0];
    }
    return Fail("{}: the prompt is not about question {} ({})", row.where(),
                benchmark_.questions[indices[0]].id, benchmark_.questions[indices[0]].where);
  }

  const Benchmark& benchmark_;
  Answers answers_;
  std::unordered_map<std::string, std::vector<size_t>> by_id_;
};

}  // namespace

std::string_view Question::Label(std::string_view dimension) const {
  const auto found =
      std::find_if(labels.begin(), labels.end(), [&](const auto& l) { return l.first == dimension; });
  return found == labels.end() ? std::string_view() : found->second;
}

Options Question::ListedOptions() const {
  Options listed;
  for (const auto& option : options) {
    if (option.first != static_cast<char>('A' + listed.size())) break;
    listed.push_back(option);
  }
  return listed;
}

std::optional<double> ModelAnswer::Score(std::string_view name) const {
  const auto found =
      std::find_if(scores.begin(), scores.end(), [&](const auto& s) { return s.first == name; });
  return found == scores.end() ? std::nullopt : std::optional(found->second);
}

std::string QuestionLine(std::string_view prompt) {
  constexpr std::string_view kMme = "please answer yes or no.";
  std::string rest = Replace(prompt, "<image>", "");
  size_t begin = rest.find_first_not_of("\n ");
  if (begin == std::string::npos) return {};
  if (rest.compare(begin, kOcrMarker.size(), kOcrMarker) == 0) {
    begin = std::min(rest.find('\n', begin), rest.size() - 1) + 1;
  }
  // Everything but the instruction at the end, so that hints and options count, too.
  constexpr std::string_view kInstructions[] = {
      "\nAnswer the question using a single word or phrase.",
      "\nAnswer with the option's letter from the given choices directly.",
      "\nWhen the provided information is insufficient", "\nReference OCR token:"};
  size_t end = rest.size();
  for (const std::string_view instruction : kInstructions) end = std::min(end, rest.find(instruction, begin));
  std::string line = Strip(Lower(std::string_view(rest).substr(begin, end - begin)));
  if (line.ends_with(kMme)) line = Strip(line.substr(0, line.size() - kMme.size()));
  return line;
}

Result<Answers> ReadAnswers(const std::string& path, const Benchmark& benchmark) {
  MVLM_ASSIGN(const JsonDocument file, JsonDocument::ReadLines(path));
  Joiner joiner(benchmark);
  for (const JsonRow& row : file.lines()) MVLM_TRY(joiner.Add(row));
  return joiner.Take();
}

}  // namespace mobilevlm::eval
