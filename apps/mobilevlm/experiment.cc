#include "experiment.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <memory>

#include "base/atomic_file.h"
#include "base/directories.h"
#include "commands.h"
#include "eval/json_row.h"

namespace mobilevlm::app {
namespace {

std::string List(const std::vector<std::string>& values) {
  std::string json = "[";
  for (const std::string& value : values) json += (json.size() > 1 ? ", " : "") + eval::JsonQuote(value);
  return json + "]";
}

std::string ToJson(const ExperimentPage& page) {
  std::string json = fmt::format("{{\n \"experiment\": {},\n \"settings\": {{", eval::JsonQuote(page.name));
  for (const auto& [name, value] : page.settings) {
    json += fmt::format("{}{}: {}", &name == &page.settings[0].first ? "" : ", ", eval::JsonQuote(name),
                        eval::JsonQuote(value));
  }
  json += "},\n \"tables\": [";
  for (const ResultTable& table : page.tables) {
    json += fmt::format("{}\n  {{\"title\": {}, \"columns\": {}, \"rows\": [",
                        &table == page.tables.data() ? "" : ",", eval::JsonQuote(table.title),
                        List(table.columns));
    for (const auto& row : table.rows)
      json += fmt::format("{}\n   {}", &row == table.rows.data() ? "" : ",", List(row));
    json += "]}";
  }
  return json + "]\n}\n";
}

std::string ToMarkdown(const ExperimentPage& page) {
  std::string text = fmt::format("# {}\n\n{}\n\n", page.title, page.question);
  for (const auto& [name, value] : page.settings) text += fmt::format("- {}: {}\n", name, value);
  text += '\n';
  for (const auto& [file, svg] : page.plots) text += fmt::format("![{}]({})\n\n", file, file);
  for (const ResultTable& table : page.tables) {
    text += fmt::format("## {}\n\n| {} |\n|", table.title, fmt::join(table.columns, " | "));
    for (size_t i = 0; i < table.columns.size(); ++i) text += i == 0 ? "---|" : "---:|";
    text += '\n';
    for (const auto& row : table.rows) text += fmt::format("| {} |\n", fmt::join(row, " | "));
    text += '\n';
  }
  return text;
}

struct Experiment {
  const char* name;
  const char* description;
  Status (*run)(const ExperimentFlags& flags, const std::string& out);
  bool trains = false;  // its models, with mobilevlm-train
};
constexpr std::array kExperiments = {
    Experiment{"latency", "Time and memory of 1.7B, 3B and 7B, stage by stage (random weights)",
               RunLatencyExperiment},
    Experiment{"ood", "The mini world by other artists, in other fonts, on another background",
               RunOodExperiment},
    Experiment{"quantisation", "Accuracy against size and speed for the quantised formats",
               RunQuantisationExperiment},
    Experiment{"calibration", "Yes ratio, accuracy by confidence, hallucinated objects",
               RunCalibrationExperiment},
    Experiment{"projectors", "LDPv2 (V2) against LDP (V1), trained alike from one start",
               RunProjectorsExperiment, true},
    Experiment{"ablations",
               "Data, training strategy, projector, number of tokens: one thing changed at a time",
               RunAblationsExperiment, true},
};

}  // namespace

Status WritePage(const ExperimentPage& page, const std::string& directory) {
  MVLM_TRY(MakeDirectories(directory));
  for (const auto& [file, svg] : page.plots) MVLM_TRY(WriteFileAtomically(directory + "/" + file, svg));
  MVLM_TRY(WriteFileAtomically(directory + "/result.json", ToJson(page)));
  MVLM_TRY(WriteFileAtomically(directory + "/page.md", ToMarkdown(page)));
  fmt::print("{}/page.md\n", directory);
  return {};
}

namespace {

void AddMeasuringFlags(CLI::App& command, ExperimentFlags& flags) {
  AddModelFlags(command, flags.load);
  command.add_option("--repeats", flags.repeats, "How often times are measured")
      ->check(WholeNumber(1, 1000))
      ->capture_default_str();
  command.add_option("--formats", flags.formats, "quantisation: formats of the text model")
      ->delimiter(',')
      ->capture_default_str();
  command.add_option("--sizes", flags.sizes, "latency: model sizes, made with random weights")
      ->delimiter(',')
      ->capture_default_str();
  command.add_option("--quant", flags.quant, "latency: format of the text models")->capture_default_str();
  command.add_option("--tokens", flags.tokens, "latency: tokens of the answer")
      ->check(WholeNumber(1, 10'000))
      ->capture_default_str();
  command.add_option("--drawings", flags.drawings,
                     "ood: NAME=DIRECTORY of PNG drawings (scripts/artists makes two)");
}

}  // namespace

void AddExperimentCommand(CLI::App& app, Status& status) {
  CLI::App* command =
      app.add_subcommand("experiment",
                         "Repeat a comparison and write its page\n\nExamples:\n"
                         "  mobilevlm experiment quantisation --out docs/experiments/quantisation\n"
                         "  mobilevlm experiment ood --drawings openmoji=build/artists/openmoji\n"
                         "  mobilevlm experiment latency --sizes 1.7b,3b\n"
                         "  mobilevlm experiment ablations --base runs/mini --work runs/ablations");
  command->require_subcommand(1);
  for (const Experiment& experiment : kExperiments) {
    CLI::App* one = command->add_subcommand(experiment.name, experiment.description);
    const auto flags = std::make_shared<ExperimentFlags>();
    one->add_option("--out", flags->out,
                    "Directory of the page (default experiment-NAME); answers in it are not asked again");
    one->add_option("--per-kind", flags->per_kind, "Mini-world questions of each kind")
        ->check(WholeNumber(1, 100'000))
        ->capture_default_str();
    if (experiment.trains) {
      AddTrainingFlags(*one, flags->training);
    } else {
      AddMeasuringFlags(*one, *flags);
    }
    one->callback([flags, &experiment, &status] {
      status = experiment.run(*flags,
                              flags->out.empty() ? std::string("experiment-") + experiment.name : flags->out);
    });
  }
}

}  // namespace mobilevlm::app
