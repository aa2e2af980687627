// The experiment `quantisation`: accuracy against size and speed for the formats of the text model.
#include <algorithm>
#include <filesystem>

#include "base/units.h"
#include "bench/child_process.h"
#include "bench/temporary_directory.h"
#include "commands.h"
#include "eval/report/plot.h"
#include "eval/statistics.h"
#include "experiment.h"
#include "experiment_format.h"
#include "world_answers.h"

namespace mobilevlm::app {
namespace {

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
      if (Interrupted()) return Fail("interrupted");
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

}  // namespace

Status RunQuantisationExperiment(const ExperimentFlags& flags, const std::string& out) {
  MVLM_ASSIGN(const LoadOptions load, LoadWithDefault(flags.load));
  InterruptFlag();  // from here on Ctrl-C ends the experiment in order: the formats' files go away
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
    if (Interrupted()) return Fail("interrupted");
    std::error_code ignored;
    const uint64_t bytes = std::filesystem::file_size(smaller.text, ignored);
    MVLM_ASSIGN(const WorldAnswers asked,
                AskWorld(smaller, {}, world::Kinds(), flags.per_kind, false, out + "/answers/" + format));
    MVLM_ASSIGN(const Speed speed, MeasureSpeed(smaller, asked.benchmark, flags.repeats));
    const std::vector<double> scores = ScoresOf(asked, "");
    if (first.empty()) first = scores;
    const eval::PairedDifference d = eval::ComparePaired(first, scores);
    const eval::Figure figure = eval::MeanFigure(format, scores);
    page.tables[0].rows.push_back({format, FormatBytes(bytes), eval::FormatValue(figure),
                                   eval::FormatInterval(figure), fmt::format("{:+.2f}", 100 * d.difference),
                                   FormatRange(d.interval), fmt::format("{:.3f}", d.p_value),
                                   fmt::format("{:.1f}", speed.question_ms),
                                   fmt::format("{:.0f}", speed.tokens_per_second)});
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

}  // namespace mobilevlm::app
