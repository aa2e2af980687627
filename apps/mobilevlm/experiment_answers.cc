// The experiments on answers about the mini world: ood, quantisation, calibration.
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include "base/units.h"
#include "bench/child_process.h"
#include "bench/temporary_directory.h"
#include "commands.h"
#include "eval/metrics/set_metrics.h"
#include "eval/report/plot.h"
#include "eval/statistics.h"
#include "experiment.h"

namespace mobilevlm::app {
namespace {

std::string Percent(double share) { return fmt::format("{:.1f} %", 100 * share); }
std::string Range(const eval::Interval& interval) {
  return fmt::format("{:.1f} to {:.1f}", 100 * interval.low, 100 * interval.high);
}

std::vector<double> ScoresOf(const WorldAnswers& asked, const std::string& kind) {
  return eval::ScoresWhere(asked.benchmark, asked.sheet, [&](const eval::Question& question) {
    return kind.empty() || question.subset == kind;
  });
}

eval::PlotValue Accuracy(const WorldAnswers& asked, const std::string& kind) {
  const eval::Figure figure = eval::MeanFigure(kind, ScoresOf(asked, kind));
  return {figure.value, figure.interval};
}

Result<LoadOptions> LoadWithDefault(const LoadOptions& load) {
  LoadOptions named = load;
  MVLM_TRY(UseBundledModelIfNone(named));
  return named;
}

std::string DescribeModel(const LoadOptions& load) {
  const std::filesystem::path path(load.text);
  return path.parent_path().filename().string() + "/" + path.filename().string();
}

// ---- ood

struct Setting {
  std::string name;
  world::WorldOptions options;
  std::vector<std::string> kinds;  // that it changes
};

Result<std::vector<Setting>> OodSettings(const ExperimentFlags& flags) {
  const std::vector<std::string> objects = {"name",  "caption",  "presence", "count",
                                            "where", "relation", "choice",   "fact"};
  std::vector<Setting> settings;
  for (const std::string& drawing : flags.drawings) {
    const size_t equals = drawing.find('=');
    if (equals == std::string::npos) return Fail("--drawings: wanted NAME=DIRECTORY, found {}", drawing);
    Setting& setting = settings.emplace_back(Setting{drawing.substr(0, equals), {}, objects});
    setting.options.object_drawings = drawing.substr(equals + 1);
  }
  settings.push_back({"other fonts", {}, {"text", "chart"}});
  settings.back().options.other_fonts = true;
  settings.push_back({"dots behind", {}, {"name", "count", "colour", "shape", "text"}});
  settings.back().options.dotted_background = true;
  return settings;
}

// Rows of one setting against the usual world, kind by kind.
void AddOodRows(const Setting& setting, const WorldAnswers& usual, const WorldAnswers& changed,
                ResultTable& table) {
  std::vector<std::string> kinds = setting.kinds;
  kinds.emplace_back("all of these");
  std::vector<double> all_before, all_after;
  for (const std::string& kind : kinds) {
    const bool all = kind == kinds.back();
    const std::vector<double> before = all ? all_before : ScoresOf(usual, kind),
                              after = all ? all_after : ScoresOf(changed, kind);
    if (!all) {
      all_before.insert(all_before.end(), before.begin(), before.end());
      all_after.insert(all_after.end(), after.begin(), after.end());
    }
    const eval::PairedDifference d = eval::ComparePaired(before, after);
    table.rows.push_back({setting.name, kind, std::to_string(d.count), Percent(eval::Mean(before)),
                          Percent(eval::Mean(after)), fmt::format("{:+.1f}", 100 * d.difference),
                          Range(d.interval),
                          d.p_value < 1e-4 ? "below 0.0001" : fmt::format("{:.4f}", d.p_value)});
  }
}

// ---- quantisation

// The text model in another format, made by this executable from the one given.
Status MakeFormat(const LoadOptions& load, const std::string& format, const std::string& path) {
  MVLM_ASSIGN(const std::string self, bench::OwnExecutable());
  std::vector<std::string> arguments = {
      self, "quantize", load.text, path, format == "f16" ? "q8_0" : format, "--requantize"};
  if (format == "f16") {  // every matrix; norms stay F32
    for (const char* matrix : {"*attn_q", "*attn_k", "*attn_v", "*attn_output", "*ffn_gate", "*ffn_up",
                               "*ffn_down", "token_embd", "output"}) {
      arguments.insert(arguments.end(), {"--tensor-type", fmt::format("{}.weight=f16", matrix)});
    }
  }
  const auto made = bench::RunProcess(arguments);
  return made ? Status() : Context(made.error(), "quantize to {}", format);
}

// Tokens per second and seconds per picture and question, the median of some repeats, of one model alone.
struct Speed {
  double question_ms = 0, tokens_per_second = 0;
};
Result<Speed> MeasureSpeed(const LoadOptions& load, const eval::Benchmark& benchmark, int repeats) {
  constexpr size_t kQuestions = 24;
  MVLM_ASSIGN(const Model model, Model::Load(load));
  MVLM_ASSIGN(Session session, model.NewSession());
  std::vector<double> milliseconds, rates;
  for (int repeat = 0; repeat <= repeats; ++repeat) {
    double total = 0, generate = 0, ids = 0;
    for (size_t i = 0; i < kQuestions; ++i) {
      const eval::Question& question = benchmark.questions[i * benchmark.questions.size() / kQuestions];
      MVLM_ASSIGN(const Picture picture, question.image->Open());
      session.Reset();
      MVLM_ASSIGN(const Answer answer,
                  session.Ask({picture}, question.prompt, {.max_tokens = 64, .speculate = 0}));
      total += answer.stats.image_ms + answer.stats.prompt_ms + answer.stats.generate_ms;
      generate += answer.stats.generate_ms;
      ids += std::max(0, answer.stats.generated - 1);
    }
    if (repeat == 0) continue;  // warm-up
    milliseconds.push_back(total / kQuestions);
    rates.push_back(generate > 0 ? 1000 * ids / generate : 0);
  }
  const auto median = [](std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2),
                     values.end());
    return values[values.size() / 2];
  };
  return Speed{median(milliseconds), median(rates)};
}

// ---- calibration

struct Bin {
  size_t count = 0, right = 0;
  double confidence = 0;
};
constexpr size_t kBins = 10;

std::array<Bin, kBins> ByConfidence(const WorldAnswers& asked) {
  std::array<Bin, kBins> bins = {};
  for (size_t i = 0; i < asked.answers.size(); ++i) {
    if (!asked.answers[i]) continue;
    const double p = asked.answers[i]->Score("confidence").value_or(0);
    Bin& bin = bins[std::min(kBins - 1, static_cast<size_t>(p * kBins))];
    ++bin.count;
    bin.right += asked.sheet.judged[i].score == 1;
    bin.confidence += p;
  }
  return bins;
}

// Expected calibration error: the mean distance between confidence and accuracy, weighted by the bins.
double CalibrationError(const std::array<Bin, kBins>& bins) {
  double sum = 0, count = 0;
  for (const Bin& bin : bins) {
    sum += std::abs(bin.confidence - static_cast<double>(bin.right));
    count += static_cast<double>(bin.count);
  }
  return count > 0 ? sum / count : 0;
}

eval::BinaryCounts CountYes(const WorldAnswers& asked, const std::string& kind) {
  eval::BinaryCounts counts;
  for (size_t i = 0; i < asked.answers.size(); ++i) {
    const eval::Question& question = asked.benchmark.questions[i];
    if (question.subset == kind && asked.answers[i])
      counts.Add(asked.sheet.judged[i].reading == "yes", question.references[0] == "yes");
  }
  return counts;
}

// Things that captions name, and how many of them the reference does not: "a dog at the top left and a red
// circle..."
struct CaptionThings {
  size_t named = 0, absent = 0;
};
CaptionThings CountCaptionThings(const WorldAnswers& asked, const world::Vocabulary& vocabulary) {
  CaptionThings things;
  const auto words = [](const std::string& text) {
    std::vector<std::string> list(1);
    for (const char c : text) {
      if (c == ' ' || c == '.' || c == ',') {
        list.emplace_back();
      } else {
        list.back() += c;
      }
    }
    return list;
  };
  for (size_t i = 0; i < asked.answers.size(); ++i) {
    const eval::Question& question = asked.benchmark.questions[i];
    if (question.subset != "caption" || !asked.answers[i]) continue;
    const std::vector<std::string> truth = words(question.references[0]);
    for (const std::string& word : words(asked.answers[i]->text)) {
      if (std::find(vocabulary.objects.begin(), vocabulary.objects.end(), word) == vocabulary.objects.end())
        continue;
      ++things.named;
      things.absent += std::find(truth.begin(), truth.end(), word) == truth.end();
    }
  }
  return things;
}

}  // namespace

Status RunOodExperiment(const ExperimentFlags& flags, const std::string& out) {
  MVLM_ASSIGN(const LoadOptions load, LoadWithDefault(flags.load));
  MVLM_ASSIGN(const std::vector<Setting> settings, OodSettings(flags));
  MVLM_ASSIGN(const WorldAnswers usual,
              AskWorld(load, {}, world::Kinds(), flags.per_kind, false, out + "/answers/usual"));
  ExperimentPage page{.name = "ood",
                      .title = "Out of distribution: the same questions about other drawings",
                      .question =
                          "The same scenes and questions, drawn by other artists, in fonts that no split "
                          "uses, on a background that no "
                          "split has. How much of the accuracy stays?",
                      .settings = {{"model", DescribeModel(load)},
                                   {"questions of each kind", std::to_string(flags.per_kind)},
                                   {"split", "test"}},
                      .tables = {{"Accuracy, per cent, and paired differences",
                                  {"what is changed", "kind", "questions", "usual", "changed", "difference",
                                   "95 % interval", "p"},
                                  {}}},
                      .plots = {}};
  for (const Setting& setting : settings) {
    std::string folder = setting.name;
    std::replace(folder.begin(), folder.end(), ' ', '-');
    MVLM_ASSIGN(const WorldAnswers changed, AskWorld(load, setting.options, setting.kinds, flags.per_kind,
                                                     false, out + "/answers/" + folder));
    AddOodRows(setting, usual, changed, page.tables[0]);
    std::vector<eval::PlotSeries> series = {{.name = "usual", .values = {}},
                                            {.name = setting.name, .values = {}}};
    for (const std::string& kind : setting.kinds) {
      series[0].values.push_back(Accuracy(usual, kind));
      series[1].values.push_back(Accuracy(changed, kind));
    }
    page.plots.emplace_back(folder + ".svg", eval::BarPlot({.title = "Mini world, " + setting.name,
                                                            .x_label = "kind of question",
                                                            .y_label = "accuracy, %",
                                                            .y_most = 100},
                                                           setting.kinds, series));
  }
  return WritePage(page, out);
}

Status RunQuantisationExperiment(const ExperimentFlags& flags, const std::string& out) {
  MVLM_ASSIGN(const LoadOptions load, LoadWithDefault(flags.load));
  MVLM_ASSIGN(const bench::TemporaryDirectory directory, bench::TemporaryDirectory::Create());
  ExperimentPage page{
      .name = "quantisation",
      .title = "Quantisation: accuracy against size and speed",
      .question =
          "The text model in several formats, the vision tower as it is. Differences are paired with the "
          "first format, question by question.",
      .settings = {{"model", DescribeModel(load)},
                   {"questions", std::to_string(flags.per_kind) + " of each kind, test split"},
                   {"repeats of the times", std::to_string(flags.repeats)}},
      .tables = {{"All kinds together",
                  {"format", "text model", "accuracy", "95 % interval", "difference", "95 % interval of it",
                   "p", "ms per question", "tokens/s"},
                  {}},
                 {"By kind, per cent", {"format"}, {}}},
      .plots = {}};
  for (const std::string& kind : world::Kinds()) page.tables[1].columns.push_back(kind);
  eval::PlotSeries by_size{.name = "formats", .values = {}}, by_speed = by_size;
  std::vector<double> first;
  for (const std::string& format : flags.formats) {
    LoadOptions smaller = load;
    smaller.text = directory.path() + "/text-" + format + ".gguf";
    MVLM_TRY(MakeFormat(load, format, smaller.text));
    std::error_code ignored;
    const uint64_t bytes = std::filesystem::file_size(smaller.text, ignored);
    MVLM_ASSIGN(const WorldAnswers asked,
                AskWorld(smaller, {}, world::Kinds(), flags.per_kind, false, out + "/answers/" + format));
    MVLM_ASSIGN(const Speed speed, MeasureSpeed(smaller, asked.benchmark, flags.repeats));
    const std::vector<double> scores = ScoresOf(asked, "");
    if (first.empty()) first = scores;
    const eval::PairedDifference d = eval::ComparePaired(first, scores);
    const eval::Figure figure = eval::MeanFigure(format, scores);
    page.tables[0].rows.push_back(
        {format, FormatBytes(bytes), eval::FormatValue(figure), eval::FormatInterval(figure),
         fmt::format("{:+.2f}", 100 * d.difference), Range(d.interval), fmt::format("{:.3f}", d.p_value),
         fmt::format("{:.1f}", speed.question_ms), fmt::format("{:.0f}", speed.tokens_per_second)});
    std::vector<std::string> row = {format};
    for (const std::string& kind : world::Kinds())
      row.push_back(fmt::format("{:.1f}", Accuracy(asked, kind).value));
    page.tables[1].rows.push_back(std::move(row));
    for (eval::PlotSeries* series : {&by_size, &by_speed}) {
      series->values.push_back({figure.value, figure.interval});
      series->labels.push_back(format);
    }
    by_size.x.push_back(static_cast<double>(bytes) / (1 << 20));
    by_speed.x.push_back(speed.question_ms);
  }
  page.plots = {{"size.svg", eval::PointPlot({.title = "Accuracy against the size of the text model",
                                              .x_label = "MiB",
                                              .y_label = "accuracy, %"},
                                             {by_size})},
                {"speed.svg", eval::PointPlot({.title = "Accuracy against the time of a question",
                                               .x_label = "ms per question",
                                               .y_label = "accuracy, %"},
                                              {by_speed})}};
  return WritePage(page, out);
}

Status RunCalibrationExperiment(const ExperimentFlags& flags, const std::string& out) {
  MVLM_ASSIGN(const LoadOptions load, LoadWithDefault(flags.load));
  MVLM_ASSIGN(const WorldAnswers asked, AskWorld(load, {}, world::Kinds(), flags.per_kind,
                                                 /*confidence=*/true, out + "/answers/usual"));
  const std::array<Bin, kBins> bins = ByConfidence(asked);
  ExperimentPage page{
      .name = "calibration",
      .title = "Calibration and hallucination",
      .question =
          "Does the probability that the model gives its own answer say how often it is right? How often "
          "does it say yes, and see what is not there?",
      .settings = {{"model", DescribeModel(load)},
                   {"questions", std::to_string(flags.per_kind) + " of each kind, test split"},
                   {"expected calibration error", fmt::format("{:.3f}", CalibrationError(bins))}},
      .tables = {{"Accuracy by confidence",
                  {"confidence", "answers", "mean confidence", "accuracy", "95 % interval"},
                  {}},
                 {"Questions of yes or no",
                  {"kind", "questions", "yes ratio", "accuracy", "95 % interval", "says yes where it is no",
                   "says no where it is yes"},
                  {}},
                 {"Objects in captions",
                  {"named", "of them not in the picture", "share", "95 % interval"},
                  {}}},
      .plots = {}};
  eval::PlotSeries reliability{.name = "answers by confidence", .values = {}},
      counts{.name = "answers", .values = {}};
  std::vector<std::string> names;
  for (size_t b = 0; b < kBins; ++b) {
    const Bin& bin = bins[b];
    names.push_back(
        fmt::format("{:.1f} to {:.1f}", static_cast<double>(b) / kBins, static_cast<double>(b + 1) / kBins));
    counts.values.push_back({static_cast<double>(bin.count)});
    if (bin.count == 0) continue;
    const auto n = static_cast<double>(bin.count);
    const eval::Interval interval =
        eval::WilsonInterval(static_cast<int>(bin.right), static_cast<int>(bin.count));
    page.tables[0].rows.push_back({names.back(), std::to_string(bin.count),
                                   fmt::format("{:.3f}", bin.confidence / n),
                                   Percent(static_cast<double>(bin.right) / n), Range(interval)});
    reliability.values.push_back({static_cast<double>(bin.right) / n, interval});
    reliability.x.push_back(bin.confidence / n);
  }
  for (const char* kind : {"presence", "relation", "fact"}) {
    const eval::BinaryCounts c = CountYes(asked, kind);
    const eval::Interval interval =
        eval::WilsonInterval(static_cast<int>(c.tp + c.tn), static_cast<int>(c.total()));
    const auto rate = [](size_t part, size_t whole) {
      return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
    };
    page.tables[1].rows.push_back({kind, std::to_string(c.total()), Percent(c.yes_ratio()),
                                   Percent(c.accuracy()), Range(interval), Percent(rate(c.fp, c.fp + c.tn)),
                                   Percent(rate(c.fn, c.fn + c.tp))});
  }
  MVLM_ASSIGN(const world::World world, world::World::Create({}));
  const CaptionThings things = CountCaptionThings(asked, world.vocabulary());
  const eval::Interval interval =
      eval::WilsonInterval(static_cast<int>(things.absent), static_cast<int>(things.named));
  page.tables[2].rows.push_back(
      {std::to_string(things.named), std::to_string(things.absent),
       Percent(things.named == 0 ? 0
                                 : static_cast<double>(things.absent) / static_cast<double>(things.named)),
       Range(interval)});
  page.plots = {{"reliability.svg",
                 eval::PointPlot({.title = "Accuracy by confidence; the dashed line is perfect calibration",
                                  .x_label = "mean confidence",
                                  .y_label = "accuracy",
                                  .y_most = 1,
                                  .diagonal = true},
                                 {reliability})},
                {"confidence.svg", eval::BarPlot({.title = "How confident the answers are",
                                                  .x_label = "confidence",
                                                  .y_label = "answers"},
                                                 names, {counts})}};
  return WritePage(page, out);
}

}  // namespace mobilevlm::app
