// The shipped recipes against the paper's numbers, and what a wrong recipe says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <variant>

#include "train/recipe/fields.h"
#include "train/recipe/read_recipe.h"

namespace mobilevlm::train {
namespace {

const std::string kConfigs = std::string(MOBILEVLM_SOURCE_DIR) + "/configs/";
const std::vector<std::string> kData{"model.start=hf", "data.annotations=a.json", "data.images=images"};

Recipe Shipped(const std::string& name) {
  const bool mini = name.starts_with("mini-");
  auto recipe = ReadRecipe(kConfigs + name + ".toml", mini ? std::vector<std::string>{} : kData);
  EXPECT_TRUE(recipe.has_value()) << recipe.error().message;
  return recipe.value_or(Recipe{});
}

std::string ErrorOf(const std::string& toml) {
  const auto recipe = ParseRecipe(toml, "a.toml");
  return recipe ? "" : recipe.error().message;
}

// The table of the paper's scripts (run.sh, run_v1.sh).
struct Published {
  std::string name;
  double rate, projector_rate;
  int64_t batch, micro;
  std::string chat_template, image_mode;
  bool grouped;
  std::vector<std::string> train;
  double warmup = 0.03;
  int64_t epochs = 1;
};

TEST(ShippedRecipes, HoldThePapersNumbers) {
  const std::vector<std::string> both{"projector", "language"};
  const Published kPublished[] = {
      {"pretrain", 2e-5, 1e-3, 256, 32, "plain", "crop", false, both},
      {"multitask", 4e-5, 0, 128, 16, "v1", "pad", true, both},
      {"lora", 2e-4, 0, 128, 16, "v1", "pad", true, both},
      {"v1-pretrain", 1e-3, 0, 256, 32, "plain", "crop", false, {"projector"}},
      {"v1-finetune", 2e-5, 0, 128, 16, "v1", "pad", true, both},
      {"mobilellama-sft", 2e-5, 0, 256, 16, "v1", "pad", false, {"language"}, 0.04, 3},
  };
  for (const Published& wanted : kPublished) {
    SCOPED_TRACE(wanted.name);
    const Recipe found = Shipped(wanted.name);
    EXPECT_EQ(found.stage, wanted.name);
    EXPECT_EQ(found.optimizer.learning_rate, wanted.rate);
    EXPECT_EQ(found.optimizer.projector_learning_rate, wanted.projector_rate);
    EXPECT_EQ(found.schedule.batch, wanted.batch);
    EXPECT_EQ(found.schedule.micro_batch, wanted.micro);
    EXPECT_EQ(found.data.chat_template, wanted.chat_template);
    EXPECT_EQ(found.data.image_mode, wanted.image_mode);
    EXPECT_EQ(found.data.group_by_modality_length, wanted.grouped);
    EXPECT_EQ(found.model.train, wanted.train);
    EXPECT_EQ(found.schedule.warmup_ratio, wanted.warmup);
    EXPECT_EQ(found.schedule.epochs, wanted.epochs);
    // Common to all of them.
    EXPECT_EQ(found.optimizer.weight_decay, 0);
    EXPECT_EQ(found.optimizer.beta1, 0.9);
    EXPECT_EQ(found.optimizer.beta2, 0.999);
    EXPECT_EQ(found.optimizer.epsilon, 1e-8);
    EXPECT_EQ(found.optimizer.clip, 0);
    EXPECT_EQ(found.schedule.final_factor, 0);
    EXPECT_EQ(found.schedule.loss_average, "rank");
    EXPECT_TRUE(found.schedule.warmup_from_zero);
    EXPECT_EQ(found.data.max_length, 2048);
    EXPECT_EQ(found.data.loaders, 4);
    EXPECT_EQ(found.run.keep, 1);
    EXPECT_TRUE(found.model.gradient_checkpointing);
    EXPECT_EQ(found.lora.rank, wanted.name == "lora" ? 128 : 0);
  }
  const Recipe lora = Shipped("lora");
  EXPECT_EQ(lora.lora.alpha, 256);
  EXPECT_EQ(lora.lora.dropout, 0.05);
  EXPECT_EQ(Shipped("v1-pretrain").model.projector, "ldpnet");
  EXPECT_EQ(Shipped("pretrain").model.projector, "ldpnetv2");
}

TEST(ShippedRecipes, NoneIsLeftOutOfTheTests) {
  for (const auto& entry : std::filesystem::directory_iterator(kConfigs)) {
    SCOPED_TRACE(entry.path().string());
    const Recipe recipe = Shipped(entry.path().stem().string());
    const std::string prefix = recipe.kind == "finetune" ? "" : "mini-";
    EXPECT_EQ(fmt::format("{}{}", prefix, recipe.stage), entry.path().stem().string());
  }
}

TEST(Recipe, WarmupIsRoundedUp) {
  Recipe recipe;
  recipe.schedule.warmup_ratio = 0.03;
  EXPECT_EQ(recipe.Warmup(4867), 147);  // 146.01
  EXPECT_EQ(recipe.Warmup(10), 1);
  recipe.schedule.warmup_steps = 50;
  EXPECT_EQ(recipe.Warmup(100), 50);
  EXPECT_EQ(recipe.Warmup(20), 20);
}

TEST(Recipe, RateWarmsUpThenFallsAlongACosine) {
  Recipe recipe;
  recipe.schedule.steps = 110;
  recipe.schedule.warmup_steps = 10;
  recipe.schedule.final_factor = 0.1;
  EXPECT_DOUBLE_EQ(recipe.Factor(0), 0.1);
  EXPECT_DOUBLE_EQ(recipe.Factor(9), 1.0);
  EXPECT_DOUBLE_EQ(recipe.Factor(10), 1.0);
  EXPECT_DOUBLE_EQ(recipe.Factor(60), 0.55);
  EXPECT_DOUBLE_EQ(recipe.Factor(110), 0.1);
  recipe.schedule.warmup_from_zero = true;
  EXPECT_DOUBLE_EQ(recipe.Factor(0), 0.0);
  EXPECT_DOUBLE_EQ(recipe.Factor(9), 0.9);
  EXPECT_DOUBLE_EQ(recipe.Factor(10), 1.0);
}

TEST(Recipe, IsWrittenAndReadBack) {
  Recipe recipe = Shipped("mini-multitask");
  recipe.data.annotations = {"a \"b\"\\c.json", "tab\there"};
  recipe.data.shares = {1, 0.25};
  recipe.optimizer.learning_rate = 0.1 + 0.2;
  const std::string toml = RecipeToml(recipe);
  const auto read = ParseRecipe(toml, "again.toml");
  ASSERT_TRUE(read.has_value()) << read.error().message << "\n" << toml;
  EXPECT_EQ(Differences(recipe, *read), std::vector<std::string>{});
  EXPECT_FALSE(recipe.mini.kind_weights.empty());
  EXPECT_EQ(read->mini.kind_weights, recipe.mini.kind_weights);
}

TEST(Recipe, DifferencesNameTheKey) {
  Recipe before, now;
  now.schedule.batch = 16;
  EXPECT_EQ(Differences(before, now), std::vector<std::string>{"schedule.batch was 32 and is 16"});
}

TEST(Recipe, OverridesTakeTomlOrPlainText) {
  Recipe recipe;
  for (const char* assignment :
       {"schedule.steps=100", "optimizer.learning_rate=3e-5", "model.start=/some dir/model",
        "data.images=\"x=y\"", "data.annotations=[\"a.json\", \"b.json\"]", "data.shares=0.5",
        "model.gradient_checkpointing=true", "model.vision=2024", "mini.kind_weights={ count = 2 }",
        "lora.alpha=16"}) {
    const Status status = Override(recipe, assignment);
    EXPECT_TRUE(status.has_value()) << assignment << ": " << status.error().message;
  }
  EXPECT_EQ(recipe.schedule.steps, 100);
  EXPECT_EQ(recipe.optimizer.learning_rate, 3e-5);
  EXPECT_EQ(recipe.model.start, "/some dir/model");
  EXPECT_EQ(recipe.data.images, "x=y");
  EXPECT_EQ(recipe.data.annotations, (std::vector<std::string>{"a.json", "b.json"}));
  EXPECT_EQ(recipe.data.shares, std::vector<double>{0.5});
  EXPECT_TRUE(recipe.model.gradient_checkpointing);
  EXPECT_EQ(recipe.model.vision, "2024");
  EXPECT_EQ(recipe.mini.kind_weights.at("count"), 2);
  EXPECT_EQ(recipe.lora.alpha, 16);
  ASSERT_TRUE(Override(recipe, "data.shares=[1,0.5]").has_value());
  EXPECT_EQ(recipe.data.shares, (std::vector<double>{1, 0.5}));
}

// As TOML, a value that a key may have and does not have.
struct AnotherValue {
  const Field& field;

  std::string operator()(const std::string* text) const { return fmt::format("\"{}\"", Other(*text)); }
  std::string operator()(const std::vector<std::string>* texts) const {
    return fmt::format("[\"{}\"]", Other(texts->size() == 1 ? texts->front() : ""));
  }
  std::string operator()(const bool* value) const { return *value ? "false" : "true"; }
  std::string operator()(const double* value) const { return fmt::format("{}", Other(*value)); }
  std::string operator()(const int64_t* value) const {
    return fmt::format("{}", static_cast<int64_t>(Other(static_cast<double>(*value))));
  }
  std::string operator()(const std::vector<double>* values) const {
    return fmt::format("[{}]", Other(values->size() == 1 ? values->front() : 0.0));
  }
  std::string operator()(const std::map<std::string, double>*) const {
    return fmt::format("{{ \"another\" = {} }}", Other(0.0));
  }

 private:
  std::string Other(const std::string& text) const {
    for (const std::string& choice : field.choices) {
      if (choice != text) return choice;
    }
    return text + "another \\\"name\\\"";
  }
  // Near the upper limit, where a value that is cut short or taken for another type shows.
  double Other(double value) const {
    const double high = field.most - (field.most > 1 ? 1 : 0.125);
    return value == high ? field.most : high;
  }
};

TEST(Recipe, EveryKeyCanBeOverriddenAndIsPrinted) {
  Recipe recipe = Shipped("lora");
  recipe.mini.kind_weights = {{"count", 2}};
  for (const Field& field : Fields(recipe)) {
    const std::string value = std::visit(AnotherValue{field}, field.value);
    Recipe changed = recipe;
    const Status status = Override(changed, fmt::format("{}={}", field.key, value));
    ASSERT_TRUE(status.has_value()) << status.error().message;
    // Read back from what is printed: this key is another one and the others are what they were.
    const auto read = ParseRecipe(RecipeToml(changed), "again.toml");
    ASSERT_TRUE(read.has_value()) << read.error().message;
    const std::vector<std::string> differences = Differences(recipe, *read);
    ASSERT_EQ(differences.size(), 1u) << field.key;
    EXPECT_TRUE(differences[0].starts_with(field.key + " was ")) << differences[0];
    EXPECT_TRUE(differences[0].ends_with(" and is " + value)) << differences[0] << "; wanted " << value;
  }
}

TEST(Recipe, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(ErrorOf("stage = \"a\"\n[schedule]\nstep = 3\n"), "a.toml:3: unknown key schedule.step");
  EXPECT_EQ(ErrorOf("stage = \"a\"\n[shedule]\nsteps = 3\n"), "a.toml:2: unknown key shedule");
  EXPECT_EQ(ErrorOf("stage = \"a\"\n[schedule]\nsteps = \"3\"\n"),
            "a.toml:3: schedule.steps: wanted a whole number, found a string");
  EXPECT_EQ(ErrorOf("stage = \"a\"\n[schedule]\nsteps = 3.5\n"),
            "a.toml:3: schedule.steps: wanted a whole number, found a number");
  EXPECT_EQ(ErrorOf("stage = \"a\"\n[schedule]\nbatch = 0\n"),
            "a.toml:3: schedule.batch: wanted 1 to 1000000000, found 0");
  EXPECT_EQ(ErrorOf("stage = \"a\"\n[optimizer]\nlearning_rate = nan\n"),
            "a.toml:3: optimizer.learning_rate: wanted 0 to 10, found nan");
  EXPECT_EQ(ErrorOf("stage = \"a\"\n[data]\ntemplate = \"v2\"\n"),
            "a.toml:3: data.template: wanted one of v1, plain, found \"v2\"");
  EXPECT_EQ(ErrorOf("stage = \"a\"\n[model]\ntrain = [\"head\"]\n"),
            "a.toml:3: model.train: wanted one of projector, language, found \"head\"");
  EXPECT_EQ(ErrorOf("stage = \"a\"\nschedule = 3\n"),
            "a.toml:2: schedule: wanted a table, found a whole number");
  EXPECT_EQ(ErrorOf("[schedule]\n"), "a.toml: key stage is missing");
  EXPECT_TRUE(ErrorOf("stage = \"a\"\nstage = \"b\"\n").starts_with("a.toml:2: "));
  EXPECT_TRUE(ErrorOf("stage = \n").starts_with("a.toml:1: "));
  EXPECT_FALSE(ReadRecipe("no/such.toml").has_value());
  Recipe recipe;
  EXPECT_EQ(Override(recipe, "steps").error().message, "--set: wanted KEY=VALUE, found 'steps'");
  EXPECT_EQ(Override(recipe, "steps=3").error().message, "--set: unknown key steps");
  EXPECT_EQ(Override(recipe, "schedule.steps=soon").error().message,
            "--set schedule.steps: wanted a whole number, found a string");
}

TEST(Recipe, ContradictionsAreErrors) {
  const auto error = [](const std::string& name, std::vector<std::string> overrides) {
    overrides.insert(overrides.begin(), kData.begin(), kData.end());
    const auto recipe = ReadRecipe(kConfigs + name + ".toml", overrides);
    return recipe ? std::string() : recipe.error().message.substr(kConfigs.size());
  };
  EXPECT_EQ(error("multitask", {"schedule.batch=8"}),
            "multitask.toml: schedule.micro_batch: wanted at most schedule.batch = 8, found 16");
  EXPECT_NE(error("multitask", {"model.start="}).find("model.start"), std::string::npos);
  EXPECT_NE(error("multitask", {"model.frozen_weights=q8_0"}).find("model.frozen_weights"),
            std::string::npos);
  EXPECT_NE(error("lora", {"lora.alpha=0"}).find("lora.alpha"), std::string::npos);
  EXPECT_NE(error("lora", {"data.shares=[1, 2]"}).find("data.shares"), std::string::npos);
  EXPECT_NE(error("lora", {"stage=../x"}).find("stage"), std::string::npos);
  EXPECT_EQ(error("lora", {"model.frozen_weights=q8_0"}), "");
}

TEST(FindRecipe, TakesPathsAsTheyAreAndNamesFromTheDirectory) {
  EXPECT_EQ(*FindRecipe("some/where"), "some/where");
  ASSERT_EQ(::setenv("MOBILEVLM_CONFIG_DIR", kConfigs.c_str(), 1), 0);
  EXPECT_EQ(*FindRecipe("lora"), kConfigs + "lora.toml");
  EXPECT_NE(FindRecipe("nothing").error().message.find("nothing.toml"), std::string::npos);
  ::unsetenv("MOBILEVLM_CONFIG_DIR");
}

}  // namespace
}  // namespace mobilevlm::train
