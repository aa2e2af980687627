#include "eval/tasks/files.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>

namespace mobilevlm::eval {
namespace {

namespace fs = std::filesystem;

// The last part of a path: question files and official files name the same picture from different folders.
std::string FileName(const std::string& path) { return fs::path(path).filename().string(); }

// Drops the questions that are `out`, the rest of their groups and what was answered to them, and notes how
// many.
void LeaveOut(const std::vector<bool>& out, std::string_view pictures, Benchmark& benchmark,
              Answers& answers) {
  std::vector<Question>& questions = benchmark.questions;
  std::unordered_set<std::string> broken;
  for (size_t i = 0; i < questions.size(); ++i) {
    if (out[i] && !questions[i].group.empty()) broken.insert(questions[i].group);
  }
  size_t kept = 0;
  for (size_t i = 0; i < questions.size(); ++i) {
    if (out[i] || broken.contains(questions[i].group)) continue;
    if (kept != i) {
      questions[kept] = std::move(questions[i]);
      answers[kept] = std::move(answers[i]);
    }
    ++kept;
  }
  if (kept == questions.size()) return;
  benchmark.notes.push_back(
      fmt::format("{} questions left out: their pictures {}", questions.size() - kept, pictures));
  benchmark.deviations.push_back(benchmark.notes.back());
  questions.erase(questions.begin() + static_cast<ptrdiff_t>(kept), questions.end());
  answers.resize(kept);
}

}  // namespace

bool Exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

Result<std::string> FindFile(const std::string& directory, const std::vector<std::string>& names) {
  std::error_code ignored;
  if (fs::is_regular_file(directory, ignored)) return directory;
  if (!fs::is_directory(directory, ignored)) return Fail("--data: {}: no such file or directory", directory);
  for (const std::string& name : names) {
    const fs::path path = fs::path(directory) / name;
    if (Exists(path)) return path.string();
  }
  return Fail("--data: {}: wanted {} in it", directory, fmt::join(names, " or "));
}

ImageSource ImageIn(const std::string& directory, const std::vector<std::string>& folders,
                    const std::string& name) {
  for (const std::string& folder : folders) {
    const fs::path path = fs::path(directory) / folder / name;
    if (Exists(path)) return {.name = path.string(), .make = {}};
  }
  return {.name = (fs::path(directory) / folders.front() / name).string(), .make = {}};
}

std::string MultipleChoicePrompt(std::string_view hint, std::string_view question, const Options& options) {
  std::string prompt = hint.empty() ? "" : std::string(hint) + "\n";
  prompt += question;
  for (const auto& [letter, text] : options) prompt += fmt::format("\n{}. {}", letter, text);
  return prompt + std::string(kOptionLetter);
}

Result<std::vector<QuestionRow>> ReadQuestionFile(const std::string& path) {
  MVLM_ASSIGN(const JsonDocument file, JsonDocument::ReadLines(path));
  std::vector<QuestionRow> rows;
  for (const JsonRow& line : file.lines()) {
    QuestionRow& row = rows.emplace_back();
    row.where = line.where();
    MVLM_ASSIGN(row.id, line.Text("question_id"));
    MVLM_ASSIGN(row.text, line.String("text"));
    MVLM_ASSIGN(row.image, line.TextOr("image", ""));
    MVLM_ASSIGN(row.category, line.TextOr("category", ""));
  }
  return rows;
}

Status ApplyQuestionFile(const std::string& path, Benchmark& benchmark) {
  MVLM_ASSIGN(const std::vector<QuestionRow> rows, ReadQuestionFile(path));
  const auto content_key = [](const std::string& image, std::string_view prompt, std::string_view subset) {
    return FileName(image) + "\n" + QuestionLine(prompt) + "\n" + std::string(subset);
  };
  std::unordered_multimap<std::string, size_t> by_content;
  std::unordered_map<std::string, size_t> by_id;
  for (size_t i = 0; i < benchmark.questions.size(); ++i) {
    const Question& q = benchmark.questions[i];
    const std::string image = q.image ? q.image->name : "";
    by_content.emplace(content_key(image, q.prompt, q.subset), i);
    by_content.emplace(content_key(image, q.prompt, ""), i);
    by_id.emplace(q.id, i);
  }
  std::vector<Question> chosen;
  std::unordered_set<size_t> used;
  for (const QuestionRow& row : rows) {
    const auto free = [&](const std::string& key) -> std::optional<size_t> {
      const auto [begin, end] = by_content.equal_range(key);
      for (auto it = begin; it != end; ++it) {
        if (!used.contains(it->second)) return it->second;
      }
      return std::nullopt;
    };
    std::optional<size_t> index = free(content_key(row.image, row.text, row.category));
    if (!index) index = free(content_key(row.image, row.text, ""));
    if (const auto id = by_id.find(row.id); !index && id != by_id.end() && !used.contains(id->second)) {
      const bool same = QuestionLine(benchmark.questions[id->second].prompt) == QuestionLine(row.text);
      if (same) index = id->second;
    }
    if (!index) return Fail("{}: the official files have no such question (id {})", row.where, row.id);
    used.insert(*index);
    Question question = benchmark.questions[*index];
    question.id = row.id;
    question.prompt = row.text;
    chosen.push_back(std::move(question));
  }
  if (chosen.size() < benchmark.questions.size()) {
    benchmark.notes.push_back(fmt::format("{} of {} questions chosen by {}", chosen.size(),
                                          benchmark.questions.size(), FileName(path)));
    benchmark.deviations.push_back(benchmark.notes.back());
  }
  benchmark.questions = std::move(chosen);
  return {};
}

void GroupByPicture(std::vector<Question>& questions) {
  std::unordered_map<std::string, size_t> first;
  for (const Question& question : questions)
    first.emplace(question.image ? question.image->name : "", first.size());
  std::stable_sort(questions.begin(), questions.end(), [&](const Question& a, const Question& b) {
    return first[a.image ? a.image->name : ""] < first[b.image ? b.image->name : ""];
  });
}

Status CheckPictures(OnMissing on_missing, Benchmark& benchmark) {
  std::unordered_map<std::string, bool> known;
  const auto missing = [&](const Question& question) {
    if (!question.image || !question.image->is_file) return false;
    const auto [entry, fresh] = known.emplace(question.image->name, false);
    if (fresh) entry->second = !Exists(question.image->name);
    return entry->second;
  };
  std::vector<bool> out;
  for (const Question& question : benchmark.questions) {
    out.push_back(missing(question));
    if (!out.back() || on_missing == OnMissing::kSkip) continue;
    return Fail("{}: picture {} does not exist (--on-missing skip leaves such rows out)", question.where,
                question.image->name);
  }
  Answers none(benchmark.questions.size());
  LeaveOut(out, "do not exist", benchmark, none);
  return {};
}

void LeaveOutUnanswered(const std::function<bool(const Question&)>& unreadable, Benchmark& benchmark,
                        Answers& answers) {
  std::vector<bool> out;
  for (size_t i = 0; i < answers.size(); ++i)
    out.push_back(!answers[i] && unreadable(benchmark.questions[i]));
  LeaveOut(out, "cannot be read", benchmark, answers);
}

}  // namespace mobilevlm::eval
