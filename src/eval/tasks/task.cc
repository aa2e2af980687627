#include "eval/tasks/task.h"

#include <algorithm>
#include <array>

#if defined(MOBILEVLM_WORLD)
#include "eval/tasks/world.h"
#endif

namespace mobilevlm::eval {

std::span<const Task> Tasks() {
  static const std::array tasks = {
    kScienceQa,
    kDocVqa,
    kChartQa,
    kOkVqa,
    kVlCheckList,
    kGqa,
    kTextVqa,
    kPope,
    kMme,
    kMmBench,
    kVizWiz,
    kSeedBench,
    kCustom,
#if defined(MOBILEVLM_WORLD)
    kWorld,
#endif
  };
  return tasks;
}

Result<const Task*> FindTask(std::string_view name) {
  std::string names;
  for (const Task& task : Tasks()) {
    if (task.name == name) return &task;
    names += (names.empty() ? "" : ", ") + std::string(task.name);
  }
  return Fail("wanted a task out of {}, found {}", names, name);
}

ScoreSheet JudgeAll(const Benchmark& benchmark, const Answers& answers,
                    Judged (*judge)(const Question& question, const ModelAnswer& answer)) {
  ScoreSheet sheet;
  sheet.task = benchmark.task;
  sheet.variant = benchmark.variant;
  sheet.notes = benchmark.notes;
  sheet.deviations = benchmark.deviations;
  for (size_t i = 0; i < benchmark.questions.size(); ++i) {
    if (answers[i]) {
      sheet.judged.push_back(judge(benchmark.questions[i], *answers[i]));
    } else {
      sheet.judged.push_back({.score = 0, .reading = "", .answered = false});
      ++sheet.missing;
    }
  }
  return sheet;
}

void AddMean(ScoreSheet& sheet, std::string name) {
  std::vector<double> scores;
  for (const Judged& judged : sheet.judged) scores.push_back(judged.score);
  sheet.figures.push_back(MeanFigure(std::move(name), scores));
}

void AddBreakdowns(const Benchmark& benchmark, ScoreSheet& sheet) {
  struct Part {
    std::string value;
    std::vector<double> scores;
  };
  std::vector<std::pair<std::string, std::vector<Part>>> dimensions;
  for (size_t i = 0; i < benchmark.questions.size(); ++i) {
    for (const auto& [name, value] : benchmark.questions[i].labels) {
      auto dimension = std::find_if(dimensions.begin(), dimensions.end(),
                                    [&key = name](const auto& d) { return d.first == key; });
      if (dimension == dimensions.end()) dimension = dimensions.insert(dimension, {name, {}});
      auto part = std::find_if(dimension->second.begin(), dimension->second.end(),
                               [&key = value](const Part& p) { return p.value == key; });
      if (part == dimension->second.end()) part = dimension->second.insert(part, {value, {}});
      part->scores.push_back(sheet.judged[i].score);
    }
  }
  for (const auto& [name, parts] : dimensions) {
    Breakdown& breakdown = sheet.breakdowns.emplace_back();
    breakdown.dimension = name;
    for (const Part& part : parts) breakdown.figures.push_back(MeanFigure(part.value, part.scores));
  }
}

void AddUnits(const Benchmark& benchmark, ScoreSheet& sheet) {
  for (size_t i = 0; i < benchmark.questions.size(); ++i) {
    const Question& question = benchmark.questions[i];
    sheet.units.push_back({question.id + "\n" + QuestionLine(question.prompt), sheet.judged[i].score});
  }
}

}  // namespace mobilevlm::eval
