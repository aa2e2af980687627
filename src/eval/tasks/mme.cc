// MME: two yes-no questions a picture, one true and one false, in fourteen tasks. LLaVA reports the sum of
// the ten perception tasks, MobileVLM calls it MME-P.
#include <algorithm>
#include <array>
#include <filesystem>
#include <map>

#include "base/read_file.h"
#include "eval/metrics/python_text.h"
#include "eval/metrics/set_metrics.h"
#include "eval/tasks/files.h"
#include "eval/tasks/task.h"

namespace mobilevlm::eval {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 14> kTasks = {"existence",
                                                     "count",
                                                     "position",
                                                     "color",
                                                     "posters",
                                                     "celebrity",
                                                     "scene",
                                                     "landmark",
                                                     "artwork",
                                                     "OCR",
                                                     "commonsense_reasoning",
                                                     "numerical_calculation",
                                                     "text_translation",
                                                     "code_reasoning"};
constexpr std::string_view kSuffix = "Please answer yes or no.";
constexpr uint64_t kLargestText = 1 << 20;

// "Is this a dog? Please answer yes or no.<TAB>Yes"
Result<Question> ParseLine(const std::string& line, const std::string& where) {
  const size_t tab = line.find('\t');
  if (tab == std::string::npos)
    return Fail("{}: wanted a question, a tab and Yes or No, found {}", where, line);
  const std::string truth = Strip(line.substr(tab + 1));
  if (truth != "Yes" && truth != "No")
    return Fail("{}: wanted Yes or No behind the tab, found {}", where, truth);
  std::string text = Strip(line.substr(0, tab));
  if (text.ends_with(kSuffix)) text = Strip(text.substr(0, text.size() - kSuffix.size()));
  Question question;
  question.where = where;
  question.prompt = text + std::string(kShortAnswer);
  question.references = {truth};
  return question;
}

Status ReadPair(const fs::path& root, const std::string& category, const fs::path& text_path,
                Benchmark& benchmark) {
  MVLM_ASSIGN(const std::string text, ReadFile(text_path.string(), kLargestText));
  const fs::path folder =
      Exists(root / category / "images") ? fs::path(category) / "images" : fs::path(category);
  const std::string stem = text_path.stem().string();
  fs::path image = folder / (stem + ".jpg");
  for (const char* extension : {".png", ".jpeg"}) {
    if (!Exists(root / image) && Exists(root / folder / (stem + extension)))
      image = folder / (stem + extension);
  }
  size_t lines = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = Strip(text.substr(begin, end - begin));
    begin = end + 1;
    if (line.empty()) continue;
    MVLM_ASSIGN(Question question, ParseLine(line, fmt::format("{}:{}", text_path.string(), ++lines)));
    question.id = image.generic_string();
    question.id_is_number = false;
    question.group = question.id;
    question.subset = category;
    question.image = ImageSource{.name = (root / image).string(), .make = {}};
    question.labels = {{"task", category}};
    benchmark.questions.push_back(std::move(question));
  }
  if (lines != 2) return Fail("{}: wanted two questions, found {}", text_path.string(), lines);
  return {};
}

void NoteAbsent(const std::vector<std::string_view>& tasks, Benchmark& benchmark) {
  if (tasks.empty()) return;
  const std::string names = fmt::format("tasks that are not there: {}", fmt::join(tasks, ", "));
  benchmark.notes.push_back(names + "; the sums are of the others");
  // The published figure is the sum of the perception tasks alone.
  if (std::any_of(tasks.begin(), tasks.end(), IsMmePerception)) benchmark.deviations.push_back(names);
}

Result<Benchmark> Load(const TaskOptions& options) {
  Benchmark benchmark{.task = "mme", .variant = "", .questions = {}, .notes = {}};
  fs::path root = options.data;
  std::error_code ignored;
  if (Exists(root / "MME_Benchmark_release_version")) root /= "MME_Benchmark_release_version";
  std::vector<std::string_view> absent;
  for (const std::string_view task : kTasks) {
    const std::string category(task);
    if (!fs::is_directory(root / category, ignored)) {
      absent.push_back(task);
      continue;
    }
    const fs::path own = root / category / "questions_answers_YN";
    std::vector<fs::path> texts;
    std::error_code error;
    fs::directory_iterator it(Exists(own) ? own : root / category, error);
    for (; !error && it != fs::directory_iterator(); it.increment(error)) {
      if (it->path().extension() == ".txt") texts.push_back(it->path());
    }
    if (error) return Fail("{}: cannot list: {}", (root / category).string(), error.message());
    std::sort(texts.begin(), texts.end());
    for (const fs::path& text : texts) MVLM_TRY(ReadPair(root, category, text, benchmark));
  }
  if (benchmark.questions.empty()) {
    return Fail("--data: {}: wanted the folders of MME's tasks ({}, ...), found none", root.string(),
                kTasks[0]);
  }
  NoteAbsent(absent, benchmark);
  return benchmark;
}

Judged Judge(const Question& question, const ModelAnswer& answer) {
  const YesNo label = MmeLabel(answer.text);
  const YesNo truth = question.references[0] == "Yes" ? YesNo::kYes : YesNo::kNo;
  return {.score = label == truth ? 1.0 : 0.0,
          .reading = label == YesNo::kYes  ? "yes"
                     : label == YesNo::kNo ? "no"
                                           : "other"};
}

struct Pair {
  std::string category;
  MmePair right;
};

// The sum over the categories for which `keep` holds, of a resample of pairs.
template <class Keep>
double SumOf(const std::vector<Pair>& pairs, std::span<const size_t> sample, const Keep& keep) {
  std::map<std::string_view, std::vector<MmePair>> by_category;
  for (const size_t index : sample) {
    if (keep(pairs[index].category)) by_category[pairs[index].category].push_back(pairs[index].right);
  }
  double sum = 0;
  for (const auto& [category, members] : by_category) sum += MmeScore(members);
  return sum;
}

ScoreSheet Score(const Benchmark& benchmark, const Answers& answers) {
  ScoreSheet sheet = JudgeAll(benchmark, answers, Judge);
  std::vector<Pair> pairs;
  std::map<std::string, size_t> places;
  for (size_t i = 0; i < benchmark.questions.size(); ++i) {
    const Question& question = benchmark.questions[i];
    const auto [place, fresh] = places.emplace(question.group, pairs.size());
    const bool right = sheet.judged[i].score == 1;
    if (fresh) {
      pairs.push_back({question.subset, {.first = right}});
    } else {
      pairs[place->second].right.second = right;
    }
  }
  const auto add = [&](std::string name, const auto& keep) {
    sheet.figures.push_back(
        ResampledFigure(std::move(name), pairs.size(), Unit::kPoints,
                        [&](std::span<const size_t> sample) { return SumOf(pairs, sample, keep); }));
  };
  add("MME perception", IsMmePerception);
  add("MME cognition", IsMmeCognition);
  Breakdown& breakdown = sheet.breakdowns.emplace_back();
  breakdown.dimension = "task (100 accuracy + 100 accuracy of pairs)";
  for (const std::string_view task : kTasks) {
    std::vector<Pair> own;
    std::copy_if(pairs.begin(), pairs.end(), std::back_inserter(own),
                 [&](const Pair& p) { return p.category == task; });
    if (own.empty()) continue;
    breakdown.figures.push_back(
        ResampledFigure(std::string(task), own.size(), Unit::kPoints, [&](std::span<const size_t> sample) {
          return SumOf(own, sample, [](std::string_view) { return true; });
        }));
  }
  AddUnits(benchmark, sheet);
  return sheet;
}

}  // namespace

const Task kMme = {"mme", "MME", "MME_Benchmark_release_version/TASK/", Load, Score, /*has_splits=*/false};

}  // namespace mobilevlm::eval
