// MMBench, circular: every rotation of the options is a row of the TSV, and a question counts as right if all
// its rows are. The pictures are base64 in the rows.
#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <numeric>
#include <unordered_map>

#include "base/base64.h"
#include "eval/metrics/python_text.h"
#include "eval/metrics/set_metrics.h"
#include "eval/tasks/files.h"
#include "eval/tasks/task.h"
#include "eval/tasks/tsv.h"

namespace mobilevlm::eval {
namespace {

constexpr uint64_t kRotation = 1'000'000;
constexpr size_t kLongestReference = 32;  // characters of an image cell that names another row

constexpr std::array<std::string_view, 18> kColumns = {
    "index",       "question", "hint",   "A",          "B",           "C",
    "D",           "E",        "answer", "category",   "image",       "source",
    "l2-category", "comment",  "split",  "image_path", "l3-category", "L2-category"};

Status CheckColumns(const TsvFile& file, const std::string& path) {
  for (const std::string_view wanted : {"index", "question", "A", "B", "answer", "image"}) {
    if (std::find(file.columns().begin(), file.columns().end(), wanted) == file.columns().end()) {
      return Fail("{}: header: column {} is missing", path, wanted);
    }
  }
  for (const std::string& column : file.columns()) {
    if (std::find(kColumns.begin(), kColumns.end(), column) == kColumns.end()) {
      return Fail("{}: header: unknown column {}", path, column);
    }
  }
  return {};
}

// An empty cell, and what pandas writes for one.
bool IsAbsent(const std::string& cell) {
  const std::string lower = Lower(cell);
  return cell.empty() || lower == "nan" || lower == "none";
}

struct IndexedRow {
  uint64_t index = 0;
  size_t row = 0;
};

Result<std::vector<IndexedRow>> ReadIndices(const TsvFile& file) {
  std::vector<IndexedRow> rows;
  std::unordered_map<uint64_t, size_t> first;  // of each question
  for (size_t row = 0; row < file.rows(); ++row) {
    const std::string text = file.Text(row, "index");
    uint64_t index = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
    if (error != std::errc() || end != text.data() + text.size()) {
      return Fail("{}: \"index\": wanted a whole number, found {}", file.Where(row), text);
    }
    rows.push_back({index, row});
    first.emplace(index % kRotation, row);
  }
  // The rotations of a question next to each other: they share a picture and count together.
  std::stable_sort(rows.begin(), rows.end(), [&](const IndexedRow& a, const IndexedRow& b) {
    return first[a.index % kRotation] < first[b.index % kRotation];
  });
  return rows;
}

// The picture of a row: base64, or the index of the row that has it (VLMEvalKit's files).
Result<ImageSource> PictureOf(const TsvFile& file, size_t row,
                              const std::unordered_map<uint64_t, size_t>& by_index) {
  size_t holder = row;
  if (const std::string cell(file.Raw(row, "image").substr(0, kLongestReference + 1));
      cell.size() <= kLongestReference) {
    uint64_t index = 0;
    const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), index);
    const auto found = by_index.find(index);
    if (error != std::errc() || end != cell.data() + cell.size() || found == by_index.end()) {
      return Fail("{}: \"image\": wanted base64 or the index of another row, found {}", file.Where(row),
                  cell);
    }
    holder = found->second;
  }
  const std::string_view raw = file.Raw(holder, "image");
  const std::string name = file.Where(holder);
  auto make = [mapping = file.file(), raw, name]() -> Result<Picture> {
    std::string_view text = raw;
    if (text.size() >= 2 && text.front() == '"') text = text.substr(1, text.size() - 2);
    std::optional<std::string> bytes = DecodeBase64(text);
    if (!bytes) return Fail("{}: \"image\": not base64", name);
    return Picture::FromBytes(std::move(*bytes), name);
  };
  return ImageSource{.name = name, .is_file = false, .make = std::move(make)};
}

Result<Question> ReadQuestion(const TsvFile& file, const IndexedRow& at) {
  Question question;
  question.where = file.Where(at.row);
  question.id = std::to_string(at.index);
  question.group = std::to_string(at.index % kRotation);
  // An option whose text is None is lost to the official scripts, and those behind it to the prompt; its
  // letter may be the answer nevertheless.
  std::string letters;
  for (const char letter : {'A', 'B', 'C', 'D', 'E'}) {
    const std::string option = file.Text(at.row, std::string(1, letter));
    if (!option.empty()) letters += letter;
    if (!IsAbsent(option)) question.options.emplace_back(letter, option);
  }
  const std::string answer = file.Text(at.row, "answer");
  if (!IsAbsent(answer)) {  // the test split has none
    if (answer.size() != 1 || letters.find(answer) == std::string::npos)
      return Fail("{}: \"answer\": wanted the letter of an option, found {}", question.where, answer);
    question.references = {answer};
  }
  const std::string hint = file.Text(at.row, "hint");
  question.prompt = MultipleChoicePrompt(IsAbsent(hint) ? "" : hint, file.Text(at.row, "question"),
                                         question.ListedOptions());
  for (const char* column : {"l2-category", "category"}) {
    if (const std::string value = file.Text(at.row, column); !value.empty())
      question.labels.emplace_back(column, value);
  }
  return question;
}

Result<Benchmark> Load(const TaskOptions& options) {
  Benchmark benchmark{.task = "mmbench", .variant = "", .questions = {}, .max_tokens = 1024, .notes = {}};
  const std::string split = options.split.empty() ? "dev" : options.split;
  const std::vector<std::string> names = {"mmbench_" + split + "_en_20231003.tsv",
                                          "mmbench_" + split + "_20230712.tsv", "mmbench_" + split + ".tsv"};
  MVLM_ASSIGN(const std::string path, FindFile(options.data, names));
  benchmark.variant = path.substr(path.find_last_of('/') + 1);
  const bool known = std::find(names.begin(), names.end(), benchmark.variant) != names.end();
  if (split != "dev" || !known) benchmark.deviations.push_back("file " + benchmark.variant);
  MVLM_ASSIGN(const TsvFile file, TsvFile::Open(path));
  MVLM_TRY(CheckColumns(file, path));
  MVLM_ASSIGN(const std::vector<IndexedRow> rows, ReadIndices(file));
  std::unordered_map<uint64_t, size_t> by_index;
  for (const IndexedRow& at : rows) {
    if (!by_index.emplace(at.index, at.row).second)
      return Fail("{}: index {} stands twice", file.Where(at.row), at.index);
  }
  for (const IndexedRow& at : rows) {
    MVLM_ASSIGN(Question question, ReadQuestion(file, at));
    MVLM_ASSIGN(question.image, PictureOf(file, at.row, by_index));
    benchmark.questions.push_back(std::move(question));
  }
  return benchmark;
}

Judged JudgeBy(const Question& question, const ModelAnswer& answer, MmBenchRule rule) {
  const int choice = MmBenchChoice(answer.text, question.options, rule);
  const std::string letter = choice == kNoChoice ? "" : std::string(1, static_cast<char>('A' + choice));
  return {.score = !question.references.empty() && letter == question.references[0] ? 1.0 : 0.0,
          .reading = letter};
}

Judged Judge(const Question& question, const ModelAnswer& answer) {
  return JudgeBy(question, answer, MmBenchRule::kVlmEvalKit);
}

struct Group {
  const Question* first = nullptr;
  double hit = 1, open_compass = 1;
};

std::vector<Group> GroupRows(const Benchmark& benchmark, const Answers& answers, const ScoreSheet& sheet) {
  std::vector<Group> groups;
  for (size_t i = 0; i < benchmark.questions.size(); ++i) {
    const Question& question = benchmark.questions[i];
    if (groups.empty() || groups.back().first->group != question.group)
      groups.push_back({.first = &question});
    const bool other = answers[i] && JudgeBy(question, *answers[i], MmBenchRule::kOpenCompass).score == 1;
    if (sheet.judged[i].score != 1) groups.back().hit = 0;
    if (!other) groups.back().open_compass = 0;
  }
  return groups;
}

ScoreSheet Score(const Benchmark& benchmark, const Answers& answers) {
  ScoreSheet sheet = JudgeAll(benchmark, answers, Judge);
  const std::vector<Group> groups = GroupRows(benchmark, answers, sheet);
  std::vector<double> hits, open_compass;
  std::map<std::string, std::map<std::string, std::vector<double>>> parts;
  for (const Group& group : groups) {
    hits.push_back(group.hit);
    open_compass.push_back(group.open_compass);
    sheet.units.push_back({group.first->group, group.hit});
    for (const auto& [dimension, value] : group.first->labels) parts[dimension][value].push_back(group.hit);
  }
  sheet.figures.push_back(MeanFigure("MMBench circular accuracy", hits));
  sheet.figures.push_back(MeanFigure("MMBench circular accuracy, opencompass' extraction", open_compass));
  AddMean(sheet, "MMBench accuracy of rows (vanilla)");
  for (const auto& [dimension, values] : parts) {
    Breakdown& breakdown = sheet.breakdowns.emplace_back();
    breakdown.dimension = dimension + " (circular)";
    for (const auto& [value, scores] : values) breakdown.figures.push_back(MeanFigure(value, scores));
  }
  return sheet;
}

}  // namespace

const Task kMmBench = {"mmbench", "MMBench", "mmbench_dev_en_20231003.tsv or mmbench_dev_20230712.tsv", Load,
                       Score};

}  // namespace mobilevlm::eval
