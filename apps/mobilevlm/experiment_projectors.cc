// The experiment `projectors`: V2's projector against V1's, trained alike, on the test split in the trainer
// and on captions in VL-CheckList's layout in the engine.
#include <filesystem>

#include "convert/convert.h"
#include "costs/training.h"
#include "eval/report/published.h"
#include "eval_task.h"
#include "experiment.h"
#include "experiment_format.h"
#include "miniature/miniature.h"
#include "schema/sizes.h"
#include "variant_tables.h"
#include "world/world.h"

namespace mobilevlm::app {
namespace {

const char* const kProjectorsQuestion =
    "The projector alone is exchanged: LDP, V1's, for LDPv2, the reference. Both have 36 tokens for 12x12 "
    "patches. "
    "Every run begins with the same tower, language stage and cached features, sees the same samples with "
    "the same "
    "losses and rates (V2's two stages). Exact match is scored in the trainer on the test split; blank is "
    "the same "
    "question with a picture of the mean colour. For the captions each run is exported, converted to GGUF "
    "and asked "
    "by the engine which of a true and a false caption of the test split is more likely, as `eval "
    "vl-checklist "
    "--scoring likelihood` does. Intervals are of the questions, with the mean over the seeds. What the "
    "README "
    "of MobileVLM publishes about V1 and V2 stands at the end; there data and training differ too.";

constexpr int kMostRows = 1000;  // pictures a file of the captions

const std::vector<Variant>& AllVariants() {
  static const std::vector<Variant> variants = {{"reference", "LDPv2 (V2)"},
                                                {"ldp", "LDP (V1)", {"mini.projector=ldpnet"}}};
  return variants;
}

// Which caption of each pair fits, by one run.
struct CaptionScores {
  std::vector<std::string> files;     // [pairs] "Attribute/color/vg"
  std::vector<double> right;          // [pairs]
  double overall = 0, text_only = 0;  // per cent, as the benchmark weighs its files
};

Result<CaptionScores> AskCaptions(const std::string& hf, const std::string& data,
                                  const std::string& directory) {
  const std::string gguf = directory + "/gguf";
  std::error_code error;
  if (!std::filesystem::exists(gguf + "/mmproj.gguf", error)) {
    MVLM_TRY(ConvertHfDirectory(
        {.hf_dir = hf, .out_dir = gguf, .text_type = DType::kF32, .vision_type = DType::kF32}));
  }
  const eval::Task& task = *eval::FindTask("vl-checklist").value();
  EvalTaskFlags flags;
  flags.load.text = gguf + "/text.gguf";
  flags.load.mmproj = gguf + "/mmproj.gguf";
  flags.task.data = data;
  flags.task.vlc_scoring = eval::VlcScoring::kLikelihood;
  MVLM_ASSIGN(const eval::Benchmark benchmark, task.load(flags.task));
  const std::string out = fmt::format("{}/captions-{}", directory, benchmark.questions.size());
  eval::RunSummary run;
  MVLM_TRY(AskBenchmark(benchmark, flags, out, run));
  MVLM_ASSIGN(const eval::Answers answers, eval::ReadAnswers(out + "/answers.jsonl", benchmark));
  const eval::ScoreSheet sheet = task.score(benchmark, answers);
  CaptionScores scores{{}, {}, sheet.figures.at(0).value, sheet.figures.at(1).value};
  for (size_t i = 0; i < sheet.units.size(); ++i) {
    scores.files.push_back(benchmark.questions[2 * i].subset);
    scores.right.push_back(sheet.units[i].score);
  }
  return scores;
}

// [runs] of each variant.
using AllCaptions = std::vector<std::vector<CaptionScores>>;

// For each pair of the type ("" for all) the share of the runs that choose the true caption.
std::vector<double> PairMeans(const std::vector<CaptionScores>& runs, std::string_view type) {
  std::vector<double> means;
  for (const CaptionScores& run : runs) {
    size_t at = 0;
    for (size_t i = 0; i < run.right.size(); ++i) {
      if (!run.files[i].starts_with(type)) continue;
      if (at == means.size()) means.push_back(0);
      means[at++] += run.right[i] / static_cast<double>(runs.size());
    }
  }
  return means;
}

double MeanOverall(const std::vector<CaptionScores>& runs, double CaptionScores::*what) {
  double sum = 0;
  for (const CaptionScores& run : runs) sum += run.*what;
  return sum / static_cast<double>(runs.size());
}

ResultTable CaptionTable(const std::vector<TrainedVariant>& all, const AllCaptions& captions) {
  ResultTable table{"Which caption is more likely? Pairs in VL-CheckList's layout", {"type", "pairs"}, {}};
  for (const TrainedVariant& one : all) {
    table.columns.push_back(one.variant.description);
    table.columns.emplace_back("95 % interval");
  }
  table.columns.insert(table.columns.end(), {"difference", "95 % interval of it", "p"});
  for (const char* type : {"Object", "Attribute", "Relation", ""}) {
    std::vector<std::string> row = {*type == '\0' ? "all pairs" : type, ""};
    std::vector<std::vector<double>> scores;
    for (const std::vector<CaptionScores>& runs : captions) {
      scores.push_back(PairMeans(runs, type));
      const eval::PlotValue mean = MeanValue(scores.back());
      row.push_back(fmt::format("{:.1f} %", mean.value));
      row.push_back(fmt::format("{:.1f} to {:.1f}", mean.interval->low, mean.interval->high));
    }
    row[1] = std::to_string(scores[0].size());
    const eval::PairedDifference d = eval::ComparePaired(scores.front(), scores.back());
    row.insert(row.end(),
               {fmt::format("{:+.1f}", 100 * d.difference), FormatRange(d.interval), FormatP(d.p_value)});
    table.rows.push_back(std::move(row));
  }
  const auto whole = [&](const char* name, double CaptionScores::*what) {
    std::vector<std::string> row = {name, ""};
    for (const std::vector<CaptionScores>& runs : captions) {
      row.push_back(fmt::format("{:.1f} %", MeanOverall(runs, what)));
      row.emplace_back("");
    }
    row.insert(row.end(), {"", "", ""});
    table.rows.push_back(std::move(row));
  };
  whole("as the benchmark weighs its types", &CaptionScores::overall);
  whole("the same without the picture", &CaptionScores::text_only);
  return table;
}

std::string CaptionPlot(const std::vector<TrainedVariant>& all, const AllCaptions& captions) {
  const std::vector<std::string> types = {"Object", "Attribute", "Relation"};
  std::vector<eval::PlotSeries> series;
  for (size_t v = 0; v < all.size(); ++v) {
    eval::PlotSeries& one = series.emplace_back();
    one.name = all[v].variant.description;
    for (const std::string& type : types) one.values.push_back(MeanValue(PairMeans(captions[v], type)));
  }
  return eval::BarPlot({.title = "The true caption is the more likely one",
                        .x_label = "type of pair",
                        .y_label = "pairs, %",
                        .y_most = 100,
                        .guide = 50},
                       types, series);
}

// Parameters and operations of both at the paper's sizes.
Result<ResultTable> SizeTable() {
  ResultTable table{
      "The projectors of the real models", {"model", "projector", "parameters", "operations a picture"}, {}};
  for (const char* name : {"1.7b", "3b", "7b"}) {
    MVLM_ASSIGN(ModelSize size, FindModelSize(name));
    for (const ProjectorType type : {ProjectorType::kLdp, ProjectorType::kLdpV2}) {
      size.projector_type = type;
      const costs::ParameterCounts counts = costs::CountParameters({size.vision, size.projector(), size.llm});
      table.rows.push_back({name, std::string(HfProjectorName(type)),
                            fmt::format("{:.1f} M", counts.projector / 1e6),
                            fmt::format("{:.1f} G", costs::ProjectorForward(size.projector(), 1) / 1e9)});
    }
  }
  return table;
}

ResultTable PublishedTable() {
  ResultTable table{"Published: V1 and V2 (README of Meituan-AutoML/MobileVLM)", {"model"}, {}};
  for (const char* model : {"MobileVLM 1.7B", "MobileVLM V2 1.7B", "MobileVLM 3B", "MobileVLM V2 3B"}) {
    table.rows.push_back({model});
  }
  for (const char* task : {"gqa", "scienceqa", "textvqa", "pope", "mme", "mmbench"}) {
    table.columns.emplace_back(eval::PublishedColumn(task));
    for (const eval::PublishedValue& published : eval::PublishedFor(task)) {
      for (std::vector<std::string>& row : table.rows) {
        if (row[0] == published.model) row.push_back(fmt::format("{:.1f}", published.value.value_or(0)));
      }
    }
  }
  return table;
}

// The captions are the same for all runs: written once, from the test split.
Result<std::string> WriteCaptions(const TrainingRuns& runs, int per_kind) {
  const int rows = std::min(per_kind, kMostRows);
  const std::string directory = fmt::format("{}/vl-checklist-{}", runs.work(), rows);
  MVLM_ASSIGN(const world::World world, world::World::Create({}));
  MVLM_TRY(miniature::Write(world, "vl-checklist", rows, directory));
  return directory;
}

Status WriteProjectorsPage(const ExperimentFlags& flags, const TrainingRuns& runs,
                           const std::vector<TrainedVariant>& all, const AllCaptions& captions,
                           const std::string& out) {
  std::vector<const TrainedVariant*> variants;
  std::vector<std::string> labels;
  for (const TrainedVariant& one : all) {
    variants.push_back(&one);
    labels.push_back(one.variant.description);
  }
  MVLM_ASSIGN(ResultTable sizes, SizeTable());
  const ExperimentPage page{
      .name = "projectors",
      .title = "V2's projector against V1's",
      .question = kProjectorsQuestion,
      .settings = TrainingSettings(flags, runs, static_cast<int>(all[0].runs.size())),
      .tables = {CaptionTable(all, captions), CompareVariants("Exact match", variants, labels, all[0]),
                 KindTable("By kind, per cent", all, false),
                 KindTable("By kind with a blank picture, per cent", all, true), RunTable(all),
                 std::move(sizes), PublishedTable()},
      .plots = {{"captions.svg", CaptionPlot(all, captions)},
                {"kinds.svg", KindPlot("Exact match, kind by kind", variants, labels)}}};
  return WritePage(page, out);
}

}  // namespace

Status RunProjectorsExperiment(const ExperimentFlags& flags, const std::string& out) {
  if (!flags.training.variants.empty()) return Fail("--variants: is for `experiment ablations`");
  MVLM_ASSIGN(const TrainingRuns runs, TrainingRuns::Open(flags.training, out, "projectors"));
  MVLM_ASSIGN(const std::string data, WriteCaptions(runs, flags.per_kind));
  AllCaptions captions(AllVariants().size());
  return TrainVariants(flags, "projectors", runs, AllVariants(),
                       [&](const std::vector<TrainedVariant>& all) -> Status {
                         for (size_t v = 0; v < all.size(); ++v) {
                           const int seed = all[v].runs.back().seed;
                           const std::string label =
                               fmt::format("projectors: {}, seed {}, captions", all[v].variant.name, seed);
                           MVLM_ASSIGN(const std::string hf, runs.Export(all[v].variant, seed, label));
                           MVLM_ASSIGN(captions[v].emplace_back(),
                                       AskCaptions(hf, data, runs.Directory(all[v].variant, seed)));
                         }
                         return WriteProjectorsPage(flags, runs, all, captions, out);
                       });
}

}  // namespace mobilevlm::app
