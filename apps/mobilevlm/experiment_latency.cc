// The experiment `latency`: where the time of a question goes, for the three sizes.
#include <filesystem>
#include <optional>

#include "base/units.h"
#include "bench/runner.h"
#include "bench/temporary_directory.h"
#include "commands.h"
#include "eval/report/plot.h"
#include "experiment.h"
#include "synth/synth.h"

namespace mobilevlm::app {
namespace {

// Milliseconds of one question: a picture, the benchmark's prompt, an answer of some tokens.
struct Stages {
  double preprocess = 0, tower = 0, projector = 0, prompt = 0, decode = 0;
  double total() const { return preprocess + tower + projector + prompt + decode; }
};

Stages StagesOf(const bench::Report& report, int tokens) {
  const bench::Latency& l = report.latency;
  Stages stages{1000 * l.preprocess.median(), 1000 * l.tower.median(), 1000 * l.projector.median(),
                1000 * l.prompt.median(), 0};
  if (report.decode_tok_s() > 0) stages.decode = 1000 * tokens / report.decode_tok_s();
  return stages;
}

Result<bench::Report> MeasureSize(const ExperimentFlags& flags, const std::string& size) {
  SynthOptions synth;
  MVLM_ASSIGN(synth.size, FindModelSize(size));
  MVLM_ASSIGN(synth.text_type, ParseSynthType(flags.quant));
  MVLM_ASSIGN(synth.vision_type, ParseSynthType("q8_0"));
  synth.progress = ShowMegabytes("making the model", "the model of random weights was not made");
  MVLM_ASSIGN(const bench::TemporaryDirectory directory, bench::TemporaryDirectory::Create());
  synth.out_dir = directory.path();
  MVLM_TRY(SynthesizeModel(synth));
  bench::BenchOptions options;
  options.load = flags.load;
  options.load.text = directory.path() + "/text.gguf";
  options.load.mmproj = directory.path() + "/mmproj.gguf";
  options.latency.repeats = flags.repeats;
  options.latency.depths = {};
  options.latency.cancel = &InterruptFlag();
  return bench::RunBench(options);
}

}  // namespace

Status RunLatencyExperiment(const ExperimentFlags& flags, const std::string& out) {
  ExperimentPage page{.name = "latency",
                      .title = "Where the time of a question goes: 1.7B, 3B, 7B",
                      .question = fmt::format("One picture, one prompt, an answer of {} tokens; random "
                                              "weights, which take as long as trained ones.",
                                              flags.tokens),
                      .settings = {{"text model", flags.quant},
                                   {"vision tower", "q8_0"},
                                   {"repeats", fmt::format("{}, medians", flags.repeats)}},
                      .tables = {{"Milliseconds",
                                  {"size", "preprocess", "tower", "projector", "prompt", "decode", "all",
                                   "tokens/s", "peak memory"},
                                  {}},
                                 {"Shares", {"size", "vision", "projector", "prompt", "decode"}, {}}},
                      .plots = {}};
  std::vector<eval::PlotSeries> series = {{.name = "preprocess", .values = {}},
                                          {.name = "tower", .values = {}},
                                          {.name = "projector", .values = {}},
                                          {.name = "prompt", .values = {}},
                                          {.name = "decode", .values = {}}};
  for (const std::string& size : flags.sizes) {
    const auto report = MeasureSize(flags, size);
    if (!report) return Context(report.error(), "{}", size);
    const Stages s = StagesOf(*report, flags.tokens);
    const auto ms = [](double value) { return fmt::format("{:.1f}", value); };
    const auto share = [&](double value) { return fmt::format("{:.1f} %", 100 * value / s.total()); };
    page.tables[0].rows.push_back({size, ms(s.preprocess), ms(s.tower), ms(s.projector), ms(s.prompt),
                                   ms(s.decode), ms(s.total()), fmt::format("{:.1f}", report->decode_tok_s()),
                                   FormatBytes(report->peak_rss_bytes)});
    page.tables[1].rows.push_back(
        {size, share(s.preprocess + s.tower), share(s.projector), share(s.prompt), share(s.decode)});
    const double parts[] = {s.preprocess, s.tower, s.projector, s.prompt, s.decode};
    for (size_t i = 0; i < series.size(); ++i) series[i].values.push_back({parts[i]});
    if (page.settings.size() == 3) {
      page.settings.emplace_back(
          "machine", report->cpu + fmt::format(", {}, {} threads", report->model.isa, report->model.threads));
      page.settings.emplace_back("prompt", fmt::format("{} positions", report->prompt_positions));
    }
  }
  page.plots = {{"stages.svg",
                 eval::StackedPlot({.title = fmt::format("One question, {} tokens of answer", flags.tokens),
                                    .x_label = "size",
                                    .y_label = "milliseconds"},
                                   flags.sizes, series)}};
  return WritePage(page, out);
}

}  // namespace mobilevlm::app
