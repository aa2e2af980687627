// VL-CheckList: of a true and a false caption, which fits the picture? The official protocol scores captions
// with a matching model (itc: the true one must score strictly higher; itm: each by itself). There is none
// for a generative model; the ways offered here (TaskOptions::vlc_scoring) are named in every report.
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

constexpr size_t kMost = 2000;  // MAX_NUM of the official configuration: captions per file
constexpr uint64_t kLargestYaml = 1 << 20;
constexpr std::array<std::string_view, 5> kAttributes = {"action", "color", "material", "size", "state"};
constexpr std::array<std::string_view, 6> kObjects = {"center", "margin", "mid", "large", "medium", "small"};
constexpr std::array<std::string_view, 2> kRelations = {"action", "spatial"};

// ANNO_PATH, IMG_ROOT and TYPE, one a line.
Result<std::map<std::string, std::string>> ReadYaml(const fs::path& path) {
  MVLM_ASSIGN(const std::string text, ReadFile(path.string(), kLargestYaml));
  std::map<std::string, std::string> values;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::string value = Strip(line.substr(colon + 1));
    if (value.size() >= 2 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0]) {
      value = value.substr(1, value.size() - 2);
    }
    values[Strip(line.substr(0, colon))] = value;
  }
  for (const char* key : {"ANNO_PATH", "IMG_ROOT"}) {
    if (values[key].empty()) return Fail("{}: {} is missing", path.string(), key);
  }
  return values;
}

Result<std::string> FirstCaption(const JsonRow& captions, std::string_view key) {
  MVLM_ASSIGN(const std::vector<std::string> list, captions.Strings(key));
  if (list.empty()) return Fail("{}: \"{}\": wanted a caption, found none", captions.where(), key);
  return list[0];  // further ones belong to SWiG rows and are not used
}

// One pair of captions as the questions that `scoring` asks.
void AddPair(const std::string& file, size_t row, const std::string& where, const ImageSource& image,
             const std::string& positive, const std::string& negative, VlcScoring scoring,
             Benchmark& benchmark) {
  Question question;
  question.group = fmt::format("{}:{}", file, row);
  question.subset = file;
  question.image = image;
  question.where = where;
  question.id_is_number = false;
  const auto add = [&](const char* name, std::string prompt, const std::string& reference,
                       const std::string& caption) {
    question.id = question.group + ":" + name;
    question.prompt = std::move(prompt);
    question.references = {reference};
    question.caption = caption;
    benchmark.questions.push_back(question);
  };
  if (scoring == VlcScoring::kTwoChoice) {
    const auto choose = [&](const char* name, const std::string& a, const std::string& b, const char* truth) {
      question.options = {{'A', a}, {'B', b}};
      add(name, MultipleChoicePrompt("", "Which caption matches the image?", question.options), truth, "");
    };
    choose("pos-first", positive, negative, "A");
    choose("neg-first", negative, positive, "B");
    return;
  }
  const bool likelihood = scoring == VlcScoring::kLikelihood;
  const auto prompt = [&](const std::string& caption) {
    if (likelihood) return std::string("Describe the picture.");
    return fmt::format("Does this image match the caption \"{}\"?{}", caption, kShortAnswer);
  };
  add("pos", prompt(positive), "yes", likelihood ? positive : "");
  add("neg", prompt(negative), "no", likelihood ? negative : "");
}

Status ReadCorpus(const TaskOptions& options, const std::string& name, const fs::path& yaml,
                  Benchmark& benchmark, size_t& skipped) {
  MVLM_ASSIGN(auto values, ReadYaml(yaml));
  const fs::path root = options.data;
  MVLM_ASSIGN(const JsonDocument annotations, JsonDocument::Read((root / values["ANNO_PATH"]).string()));
  MVLM_ASSIGN(const std::vector<JsonRow> rows, annotations.root().Elements());
  size_t pairs = 0;
  for (const JsonRow& row : rows) {
    if (pairs == kMost / 2) break;
    MVLM_ASSIGN(const std::vector<JsonRow> parts, row.Elements());
    if (parts.size() != 2)
      return Fail("{}: wanted a picture and its captions, found {} values", row.where(), parts.size());
    MVLM_ASSIGN(const std::string image, parts[0].AsText());
    MVLM_ASSIGN(const std::string positive, FirstCaption(parts[1], "POS"));
    MVLM_ASSIGN(const std::string negative, FirstCaption(parts[1], "NEG"));
    const ImageSource source{.name = (root / values["IMG_ROOT"] / image).string(), .make = {}};
    // The official loader leaves out what is missing before it counts to MAX_NUM.
    if (std::error_code ignored;
        options.on_missing == OnMissing::kSkip && !fs::exists(source.name, ignored)) {
      ++skipped;
      continue;
    }
    AddPair(name, ++pairs, row.where(), source, positive, negative, options.vlc_scoring, benchmark);
  }
  return {};
}

std::string_view NameOf(VlcScoring scoring) {
  switch (scoring) {
    case VlcScoring::kYesProbability:
      return "p(yes)";
    case VlcScoring::kGenerated:
      return "generated yes or no";
    case VlcScoring::kLikelihood:
      return "caption likelihood";
    case VlcScoring::kTwoChoice:
      return "two choices, both orders";
  }
  return "";
}

Result<Benchmark> Load(const TaskOptions& options) {
  Benchmark benchmark{.task = "vl-checklist",
                      .variant = std::string(NameOf(options.vlc_scoring)),
                      .questions = {},
                      .notes = {}};
  if (options.vlc_scoring == VlcScoring::kYesProbability) benchmark.mode = AskMode::kYesProbability;
  if (options.vlc_scoring == VlcScoring::kLikelihood) benchmark.mode = AskMode::kCaptionLikelihood;
  const fs::path corpus = fs::path(options.data) / "corpus" / "v1";
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(corpus, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".yaml") files.push_back(it->path());
  }
  if (error || files.empty())
    return Fail("--data: {}: wanted corpus/v1/TYPE/CORPUS.yaml in it, found none", options.data);
  std::sort(files.begin(), files.end());
  size_t skipped = 0;
  for (const fs::path& file : files) {
    const fs::path name = fs::path(file).lexically_relative(corpus).replace_extension();
    MVLM_TRY(ReadCorpus(options, name.generic_string(), file, benchmark, skipped));
  }
  if (skipped > 0)
    benchmark.notes.push_back(fmt::format("{} pairs left out: their pictures do not exist", skipped));
  return benchmark;
}

// What a caption scores under the benchmark's mode: any number that is higher for a better match.
double CaptionScore(const Question& question, const std::optional<ModelAnswer>& answer,
                    const Judged& judged) {
  if (!answer) return question.references[0] == "yes" ? -1e30 : 1e30;  // unanswered is wrong
  if (const auto p = answer->Score("p_yes")) return *p;
  if (const auto l = answer->Score("log_likelihood")) return *l;
  return judged.reading == "yes" ? 1 : 0;
}

Judged Judge(const Question& question, const ModelAnswer& answer) {
  Judged judged;
  if (question.references[0].size() == 1) {  // two choices
    const int choice = MmBenchChoice(answer.text, question.options, MmBenchRule::kOpenCompass);
    judged.reading = choice == kNoChoice ? "" : std::string(1, static_cast<char>('A' + choice));
  } else if (const auto p = answer.Score("p_yes")) {
    judged.reading = *p > 0.5 ? "yes" : "no";
  } else {
    judged.reading = PopeLabel(answer.text) == YesNo::kYes ? "yes" : "no";
  }
  judged.score = judged.reading == question.references[0] ? 1 : 0;
  return judged;
}

struct Pair {
  std::string spoke, corpus, file;
  double right = 0;      // the pair
  double text_only = 0;  // the same without the picture
};

// Spokes are named by type where two types share a name.
Pair Place(const std::string& file) {
  const fs::path path(file);
  const std::string type = path.begin()->string(), leaf = path.parent_path().filename().string();
  const std::string stem = path.filename().string();
  return {.spoke = type + "/" + leaf, .corpus = stem.substr(0, stem.find('_')), .file = file};
}

// Mean over files, then corpora.
double SpokeOf(const std::vector<Pair>& pairs, std::span<const size_t> sample, std::string_view spoke,
               double Pair::*what) {
  std::map<std::string_view, std::map<std::string_view, std::vector<double>>> by_corpus;
  for (const size_t index : sample) {
    const Pair& pair = pairs[index];
    if (pair.spoke == spoke) by_corpus[pair.corpus][pair.file].push_back(pair.*what);
  }
  std::vector<double> corpora;
  for (const auto& [corpus, files] : by_corpus) {
    std::vector<double> means;
    for (const auto& [file, scores] : files) means.push_back(Mean(scores));
    corpora.push_back(Mean(means));
  }
  return corpora.empty() ? -1 : Mean(corpora);
}

double TypeOf(const std::vector<Pair>& pairs, std::span<const size_t> sample, const std::string& type,
              std::span<const std::string_view> leaves, double Pair::*what) {
  std::vector<double> spokes;
  for (const std::string_view leaf : leaves) {
    const double spoke = SpokeOf(pairs, sample, type + "/" + std::string(leaf), what);
    if (spoke >= 0) spokes.push_back(spoke);
  }
  return spokes.empty() ? -1 : Mean(spokes);
}

double Overall(const std::vector<Pair>& pairs, std::span<const size_t> sample, double Pair::*what) {
  std::vector<double> types;
  for (const double type : {TypeOf(pairs, sample, "Object", kObjects, what),
                            TypeOf(pairs, sample, "Attribute", kAttributes, what),
                            TypeOf(pairs, sample, "Relation", kRelations, what)}) {
    if (type >= 0) types.push_back(type);
  }
  return 100 * Mean(types);
}

std::vector<Pair> PairsOf(const Benchmark& benchmark, const Answers& answers, const ScoreSheet& sheet) {
  std::vector<Pair> pairs;
  for (size_t i = 0; i + 1 < benchmark.questions.size(); i += 2) {
    const Question& first = benchmark.questions[i];
    const Question& second = benchmark.questions[i + 1];
    Pair pair = Place(first.subset);
    if (first.references[0].size() == 1) {
      pair.right = sheet.judged[i].score == 1 && sheet.judged[i + 1].score == 1;
    } else {
      pair.right = CaptionScore(first, answers[i], sheet.judged[i]) >
                   CaptionScore(second, answers[i + 1], sheet.judged[i + 1]);
      const auto score = [](const std::optional<ModelAnswer>& a) {
        return a ? a->Score("text_only").value_or(0) : 0;
      };
      pair.text_only = score(answers[i]) > score(answers[i + 1]);
    }
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

void AddSpokes(const std::vector<Pair>& pairs, ScoreSheet& sheet) {
  const auto add = [&](Breakdown& breakdown, std::string name, const std::vector<Pair>& own,
                       const auto& statistic) {
    breakdown.figures.push_back(
        ResampledFigure(std::move(name), own.size(), Unit::kPercent,
                        [&](std::span<const size_t> sample) { return 100 * statistic(own, sample); }));
  };
  Breakdown types{.dimension = "type", .figures = {}}, spokes{.dimension = "spoke", .figures = {}};
  const auto with = [&](const std::string& prefix) {
    std::vector<Pair> own;
    std::copy_if(pairs.begin(), pairs.end(), std::back_inserter(own),
                 [&](const Pair& p) { return p.spoke.starts_with(prefix); });
    return own;
  };
  const auto add_type = [&](const std::string& type, std::span<const std::string_view> leaves) {
    const std::vector<Pair> own = with(type + "/");
    if (own.empty()) return;
    add(types, type, own, [&](const auto& p, auto sample) {
      return std::max(0.0, TypeOf(p, sample, type, leaves, &Pair::right));
    });
    for (const std::string_view leaf : leaves) {
      const std::string spoke = type + "/" + std::string(leaf);
      const std::vector<Pair> members = with(spoke);
      if (members.empty()) continue;
      add(spokes, spoke, members,
          [&](const auto& p, auto sample) { return std::max(0.0, SpokeOf(p, sample, spoke, &Pair::right)); });
    }
  };
  add_type("Object", kObjects);
  add_type("Attribute", kAttributes);
  add_type("Relation", kRelations);
  sheet.breakdowns.push_back(std::move(types));
  sheet.breakdowns.push_back(std::move(spokes));
}

ScoreSheet Score(const Benchmark& benchmark, const Answers& answers) {
  ScoreSheet sheet = JudgeAll(benchmark, answers, Judge);
  const std::vector<Pair> pairs = PairsOf(benchmark, answers, sheet);
  const auto overall = [&](double Pair::*what) {
    return [&pairs, what](std::span<const size_t> sample) { return Overall(pairs, sample, what); };
  };
  const bool two_choice = !benchmark.questions.empty() && !benchmark.questions[0].options.empty();
  const std::string kind = two_choice ? "both orders" : "itc";
  sheet.figures.push_back(ResampledFigure(fmt::format("VL-CheckList {}, {}", kind, benchmark.variant),
                                          pairs.size(), Unit::kPercent, overall(&Pair::right)));
  if (benchmark.mode == AskMode::kCaptionLikelihood) {
    sheet.figures.push_back(ResampledFigure("VL-CheckList itc, likelihood without the picture", pairs.size(),
                                            Unit::kPercent, overall(&Pair::text_only)));
  } else if (!two_choice) {
    AddMean(sheet, "VL-CheckList itm accuracy, " + benchmark.variant);
  }
  AddSpokes(pairs, sheet);
  for (size_t i = 0; i < pairs.size(); ++i)
    sheet.units.push_back({benchmark.questions[2 * i].group, pairs[i].right});
  return sheet;
}

}  // namespace

const Task kVlCheckList = {"vl-checklist", "VL-CheckList", "corpus/v1/TYPE/CORPUS.yaml and what they name",
                           Load,           Score,          /*has_splits=*/false};

}  // namespace mobilevlm::eval
