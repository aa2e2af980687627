// mobilevlm eval world: asks the mini world's test questions and prints accuracy per kind.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/random.h"
#include "commands.h"
#include "eval/suite.h"
#include "mobilevlm/mobilevlm.h"
#include "world/world.h"

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
};

// The questions of a split, kind by kind; question i of a kind is the same in every run.
class WorldSuite {
 public:
  WorldSuite(const world::World& world, world::Split split, std::vector<std::string> kinds, int per_kind)
      : world_(world), split_(split), kinds_(std::move(kinds)), per_kind_(static_cast<uint64_t>(per_kind)) {}

  uint64_t size() const { return kinds_.size() * per_kind_; }

  std::optional<eval::SuiteItem> Next() {
    if (next_ == size()) return std::nullopt;
    const std::string& kind = kinds_[next_ / per_kind_];
    const uint64_t index = next_ % per_kind_;
    ++next_;
    const world::Scene scene = world_.MakeScene(split_, kind, index);
    Random random = Random::Stream(kQuestionSeed, index);
    const world::Question question = world_.Ask(scene, kind, random);
    world::Rendered rendered = world_.Render(scene);
    eval::SuiteItem item;
    item.kind = kind;
    item.chance = world::ChanceOf(kind);
    item.picture =
        Picture::FromRgb(rendered.picture.width, rendered.picture.height, std::move(rendered.picture.rgb));
    item.question = question.question;
    item.answer = question.answer;
    return item;
  }

 private:
  static constexpr uint64_t kQuestionSeed = 20240206;  // fixed for ever: it names the test questions

  const world::World& world_;
  world::Split split_;
  std::vector<std::string> kinds_;
  uint64_t per_kind_;
  uint64_t next_ = 0;
};

Result<world::Split> ParseSplit(const std::string& name) {
  if (name == "train") return world::Split::kTrain;
  if (name == "validation") return world::Split::kValidation;
  if (name == "test") return world::Split::kTest;
  return Fail("--split: wanted train, validation or test, found '{}'", name);
}

Status RunEvalWorld(const EvalOptions& options) {
  MVLM_ASSIGN(const world::Split split, ParseSplit(options.split));
  std::vector<std::string> kinds = world::Kinds();
  if (!options.kind.empty()) {
    if (std::find(kinds.begin(), kinds.end(), options.kind) == kinds.end()) {
      return Fail("--kind: wanted one of {}, found '{}'", fmt::join(kinds, ", "), options.kind);
    }
    kinds = {options.kind};
  }
  MVLM_ASSIGN(const world::World world, world::World::Create({}));
  LoadOptions load = options.load;
  MVLM_TRY(UseBundledModelIfNone(load));
  MVLM_ASSIGN(const Model model, Model::Load(load));

  WorldSuite suite(world, split, std::move(kinds), options.per_kind);
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

void AddEvalCommand(CLI::App& app, Status& status) {
  CLI::App* eval = app.add_subcommand("eval", "measure a model's answers");
  eval->require_subcommand(1);
  CLI::App* world = eval->add_subcommand("world", "the mini world's questions, accuracy per kind");
  world->footer(
      "Examples:\n"
      "  mobilevlm eval world                      the bundled model, 400 test questions a kind\n"
      "  mobilevlm eval world --per-kind 50 --kind count --show-wrong\n"
      "  mobilevlm eval world -m text.gguf --mmproj mmproj.gguf --json");
  auto options = std::make_shared<EvalOptions>();
  world->add_option("-m,--model", options->load.text, "text GGUF; without it the bundled mini model");
  world->add_option("--mmproj", options->load.mmproj, "mmproj GGUF");
  world->add_option("--split", options->split, "train, validation or test")->capture_default_str();
  world->add_option("--kind", options->kind, "only this kind of question");
  world->add_option("--per-kind", options->per_kind, "questions of each kind")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  world->add_option("--threads", options->load.threads, "0: one per CPU")->check(CLI::Range(0, 1024));
  world->add_flag("--no-blank", options->no_blank, "skip the questions with a blank picture");
  world->add_flag("--json", options->json, "machine-readable output");
  world->add_flag("--show-wrong", options->show_wrong, "print every wrong answer");
  world->callback([options, &status] { status = RunEvalWorld(*options); });
}

}  // namespace mobilevlm::app
