// mobilevlm eval world: asks the mini world's test questions and prints accuracy per kind; with --out it is a
// benchmark like the others (eval_task.h).
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "commands.h"
#include "eval/tasks/world.h"
#include "eval/world_suite.h"
#include "eval_task.h"
#include "mobilevlm/mobilevlm.h"
#include "world/dataset.h"

namespace mobilevlm::app {
namespace {

struct EvalOptions {
  LoadOptions load;
  std::string split = "test";
  std::string kind;
  int per_kind = 400;
  bool no_blank = false;
  bool json = false;
  bool show_wrong = false;
  std::string out;
};

Status RunEvalWorld(const EvalOptions& options) {
  MVLM_ASSIGN(const world::Split split, world::ParseSplit(options.split));
  std::vector<std::string> kinds = world::Kinds();
  if (!options.kind.empty()) {
    if (std::find(kinds.begin(), kinds.end(), options.kind) == kinds.end()) {
      return Fail("--kind: wanted one of {}, found '{}'", fmt::join(kinds, ", "), options.kind);
    }
    kinds = {options.kind};
  }
  MVLM_ASSIGN(world::World world, world::World::Create({}));
  if (!options.out.empty()) {
    EvalTaskFlags flags;
    flags.load = options.load;
    flags.out = options.out;
    flags.json = options.json;
    const auto shared = std::make_shared<const world::World>(std::move(world));
    return RunEvalBenchmark(
        *eval::FindTask("world").value(), flags,
        eval::WorldBenchmark(shared, split, kinds, static_cast<uint64_t>(options.per_kind)));
  }
  LoadOptions load = options.load;
  MVLM_TRY(UseBundledModelIfNone(load));
  MVLM_ASSIGN(const Model model, Model::Load(load));

  eval::WorldSuite suite(world, split, std::move(kinds), static_cast<uint64_t>(options.per_kind));
  eval::SuiteOptions suite_options;
  suite_options.total = suite.size();
  suite_options.ask_blank = !options.no_blank;
  suite_options.cancel = &InterruptFlag();
  const auto observer = [&](const eval::SuiteItem& item, const std::string& prediction, bool correct) {
    if (options.show_wrong && !correct) {
      fmt::print(stderr, "{}: {} | wanted {} | found {}\n", item.kind, item.question, item.answer,
                 prediction);
    }
  };
  MVLM_ASSIGN(const eval::KindReport report,
              eval::RunSuite(
                  model, [&] { return suite.Next(); }, suite_options, observer));
  const std::string text = options.json ? eval::ToJson(report) + "\n" : eval::ToText(report);
  std::fputs(text.c_str(), stdout);
  return {};
}

}  // namespace

void AddEvalWorldCommand(CLI::App& eval, Status& status) {
  CLI::App* world = eval.add_subcommand(
      "world",
      "Ask the mini world's questions and print accuracy per kind\n\n"
      "Examples:\n"
      "  mobilevlm eval world                      the bundled model, 400 test questions a kind\n"
      "  mobilevlm eval world --per-kind 50 --kind count --show-wrong\n"
      "  mobilevlm eval world -m text.gguf --mmproj mmproj.gguf --json");
  const auto options = std::make_shared<EvalOptions>();
  AddModelFlags(*world, options->load);
  world->add_option("--split", options->split, "train, validation or test")->capture_default_str();
  world->add_option("--kind", options->kind, "Only this kind of question");
  world->add_option("--per-kind", options->per_kind, "Questions of each kind")
      ->check(WholeNumber(1, 1000000))
      ->capture_default_str();
  world->add_flag("--no-blank", options->no_blank, "Skip the questions with a blank picture");
  world->add_flag("--json", options->json, "Machine-readable output");
  world->add_flag("--show-wrong", options->show_wrong, "Print every wrong answer");
  world->add_option(
      "--out", options->out,
      "Directory for answers, scores and a report, continued if it is there; no blank pictures");
  world->callback([options, &status] { status = RunEvalWorld(*options); });
}

}  // namespace mobilevlm::app
