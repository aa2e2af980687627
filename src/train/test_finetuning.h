// For tests of the stages that read annotation files: samples, a run of a stage from the nano model, its
// losses.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/check.h"
#include "train/recipe/read_recipe.h"
#include "train/run.h"
#include "train/runlog/run_log.h"
#include "train/test_nano.h"
#include "train/test_support.h"

namespace mobilevlm::train {

inline nlohmann::json Says(const std::string& from, const std::string& value) {
  return {{"from", from}, {"value", value}};
}

inline nlohmann::json Asked(int number, const std::string& image, const std::string& question) {
  nlohmann::json sample{
      {"id", fmt::format("s{}", number)},
      {"conversations", {Says("human", question), Says("gpt", fmt::format("Number {}.", number))}}};
  if (!image.empty()) sample["image"] = image;
  return sample;
}

// A directory of annotations and a run.
class Finetuning : public testing::Test {
 protected:
  std::string At(const std::string& name) const { return directory_.path() + "/" + name; }

  void Write(const nlohmann::json& samples) const { std::ofstream(At("a.json")) << samples.dump(); }
  // Pictures and text alone.
  static nlohmann::json Mixed(int count) {
    nlohmann::json samples = nlohmann::json::array();
    for (int i = 0; i < count; ++i) {
      samples.push_back(i % 4 == 3 ? Asked(i, "", "Say a number.")
                                   : Asked(i, "image_336.png", "<image>\nWhich number?"));
    }
    return samples;
  }

  // A stage from the nano model, or another start.
  Recipe Stage(const std::string& name, std::vector<std::string> overrides) const {
    overrides.insert(overrides.begin(),
                     {"model.start=" + kNanoModel, "model.products=float32",
                      "data.annotations=" + At("a.json"), "data.images=" + kFixtures, "schedule.batch=4",
                      "schedule.micro_batch=2", "optimizer.learning_rate=1e-3", "run.log_every=1",
                      "run.validation_samples=2", "run.samples=1", "run.threads=1"});
    auto recipe = ReadRecipe(fmt::format("{}/configs/{}.toml", MOBILEVLM_SOURCE_DIR, name), overrides);
    MVLM_CHECK(recipe.has_value(), "{}", recipe.error().message);
    return std::move(*recipe);
  }

  std::string RunError(const Recipe& recipe, const std::string& run) const {
    const Status status = RunRecipe(recipe, At(run), {});
    return status ? "" : status.error().message;
  }

  std::vector<double> Losses(const std::string& run, const std::string& stage) const {
    const auto log = ReadLog(At(run) + "/" + stage + "/log.jsonl");
    MVLM_CHECK(log.has_value(), "{}", log.error().message);
    std::vector<double> losses;
    for (const nlohmann::json& line : *log) losses.push_back(line["loss"].get<double>());
    return losses;
  }

  TemporaryDirectory directory_;
};

}  // namespace mobilevlm::train
