// mobilevlm-train score: a trained mini run on the mini world's test split.
#include "train/score.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/atomic_file.h"
#include "commands.h"

namespace mobilevlm::app {
namespace {

struct ScoreFlags {
  train::ScoreOptions options;
  std::string out;
};

double Percent(const std::string& digits) {
  const auto right = static_cast<double>(std::count(digits.begin(), digits.end(), '1'));
  return 100 * right / static_cast<double>(digits.size());
}

Status RunScore(const ScoreFlags& flags) {
  MVLM_ASSIGN(const nlohmann::ordered_json score, train::ScoreRun(flags.options));
  const std::string out = flags.out.empty() ? flags.options.run + "/score.json" : flags.out;
  MVLM_TRY(WriteFileAtomically(out, score.dump(1) + "\n"));
  fmt::print("{:<10} {:>9}  {:>8}  {:>8}\n", "kind", "questions", "right", "blank");
  double right = 0, blank = 0;
  for (const auto& [kind, digits] : score["kinds"].items()) {
    const std::string seen = digits["right"], unseen = digits["blank"];
    fmt::print("{:<10} {:>9}  {:>6.1f} %  {:>6.1f} %\n", kind, seen.size(), Percent(seen), Percent(unseen));
    right += Percent(seen);
    blank += Percent(unseen);
  }
  const auto kinds = static_cast<double>(score["kinds"].size());
  fmt::print("{:<10} {:>9}  {:>6.1f} %  {:>6.1f} %\n", "mean", "", right / kinds, blank / kinds);
  return {};
}

}  // namespace

void AddScoreCommand(CLI::App& app, Status& status) {
  CLI::App* command = app.add_subcommand(
      "score",
      "a trained mini run on the mini world's test split, without conversion\n\n"
      "Example:\n"
      "  mobilevlm-train score runs/mini --per-kind 100\n\n"
      "The questions of `mobilevlm eval world`, answered with their pictures and with a blank one.");
  const auto flags = std::make_shared<ScoreFlags>();
  command->add_option("RUN", flags->options.run, "directory of the run")->required();
  command->add_option("--per-kind", flags->options.per_kind, "questions of each kind")
      ->check(WholeNumber(1, 100'000))
      ->capture_default_str();
  command->add_option("--threads", flags->options.threads, "worker threads, 0: one per CPU")
      ->check(WholeNumber(0, 1024));
  command->add_option("-o,--out", flags->out, "JSON file to write (default RUN/score.json)");
  command->callback([flags, &status] { status = RunScore(*flags); });
}

}  // namespace mobilevlm::app
