// The mini world as a benchmark of the runner. Its pictures are drawn when they are asked about.
#include "eval/tasks/world.h"

#include <memory>

#include "eval/exact_match.h"
#include "world/dataset.h"

namespace mobilevlm::eval {
namespace {

Result<Benchmark> Load(const TaskOptions& options) {
  MVLM_ASSIGN(world::World world, world::World::Create({}));
  MVLM_ASSIGN(const world::Split split, world::ParseSplit(options.split.empty() ? "test" : options.split));
  return WorldBenchmark(std::make_shared<const world::World>(std::move(world)), split, world::Kinds(),
                        options.per_kind);
}

Judged Judge(const Question& question, const ModelAnswer& answer) {
  return {.score = ExactMatch(answer.text, question.references[0]) ? 1.0 : 0.0,
          .reading = NormaliseAnswer(answer.text)};
}

ScoreSheet Score(const Benchmark& benchmark, const Answers& answers) {
  ScoreSheet sheet = JudgeAll(benchmark, answers, Judge);
  AddMean(sheet, "mini world accuracy");
  AddBreakdowns(benchmark, sheet);
  AddUnits(benchmark, sheet);
  return sheet;
}

}  // namespace

Benchmark WorldBenchmark(const std::shared_ptr<const world::World>& world, world::Split split,
                         const std::vector<std::string>& kinds, uint64_t per_kind) {
  Benchmark benchmark{.task = "world",
                      .variant = std::string(world::NameOf(split)),
                      .questions = {},
                      .max_tokens = 64,
                      .notes = {}};
  for (const std::string& kind : kinds) {
    for (uint64_t i = 0; i < per_kind; ++i) {
      const world::Question asked = world::MakeSample(*world, split, kind, i).question;
      Question& question = benchmark.questions.emplace_back();
      question.id = fmt::format("{}-{}", kind, i);
      question.where = "mini world " + question.id;
      question.id_is_number = false;
      question.prompt = asked.question;
      question.references = {asked.answer};
      question.subset = kind;
      question.labels = {{"kind", kind}};
      auto draw = [world, split, kind, i]() -> Result<Picture> {
        world::Rendered rendered = world->Render(world::MakeSample(*world, split, kind, i).scene);
        return Picture::FromRgb(rendered.picture.width, rendered.picture.height,
                                std::move(rendered.picture.rgb));
      };
      question.image = ImageSource{.name = question.where, .is_file = false, .make = std::move(draw)};
    }
  }
  return benchmark;
}

const Task kWorld = {"world", "mini world", "nothing: the pictures are drawn", Load, Score};

}  // namespace mobilevlm::eval
