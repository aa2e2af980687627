// Runs of the stages that read annotation files, on the nano model: resume, where the weights come from,
// samples that cannot be used, and what is shown between steps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/read_file.h"
#include "schema/tensors.h"
#include "train/adapter.h"
#include "train/checkpoint.h"
#include "train/data/annotated_batches.h"
#include "train/stages/predict.h"
#include "train/start_model.h"
#include "train/stop_signal.h"
#include "train/test_finetuning.h"

namespace mobilevlm::train {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

struct Kept {
  std::string name, stage;
  std::vector<std::string> overrides;
};
class FinetuneResume : public Finetuning, public testing::WithParamInterface<Kept> {};

// Adapter and dropout masks, narrow weights and their master copy, the order of a second and third epoch.
TEST_P(FinetuneResume, ContinuesToTheBit) {
  const Kept& kept = GetParam();
  Write(Mixed(14));  // two held back, three steps an epoch
  std::vector<std::string> overrides = kept.overrides;
  overrides.push_back("schedule.steps=7");
  const Recipe recipe = Stage(kept.stage, overrides);
  ASSERT_EQ(RunError(recipe, "whole"), "");
  {
    StopSignal blocks;
    {
      const StopAtFirstLine stop(At("parts") + "/" + kept.stage + "/log.jsonl");
      ASSERT_EQ(RunError(recipe, "parts"), "");
    }
    EXPECT_FALSE(blocks.Requested()) << "the run heard it";
  }
  const size_t done = Losses("parts", kept.stage).size();
  ASSERT_GE(done, 1u);
  ASSERT_LT(done, 7u);
  ASSERT_EQ(RunError(recipe, "parts"), "");
  const std::vector<double> whole = Losses("whole", kept.stage), parts = Losses("parts", kept.stage);
  ASSERT_EQ(whole.size(), 7u);
  EXPECT_EQ(whole, parts);
  EXPECT_LT(whole.back(), whole.front());
}

INSTANTIATE_TEST_SUITE_P(Stages, FinetuneResume,
                         testing::Values(Kept{"lora", "lora", {"lora.rank=4", "lora.alpha=8"}},
                                         Kept{"lora_on_q8_0",
                                              "lora",
                                              {"lora.rank=4", "lora.alpha=8", "model.frozen_weights=q8_0"}},
                                         Kept{"bfloat16", "multitask", {"model.weights=bfloat16"}}),
                         [](const auto& test) { return test.param.name; });

// The nano model taken apart: a LLaMA and a CLIP directory and a projector's file, as pretrain and
// v1-finetune want them.
class FromParts : public Finetuning {
 protected:
  FromParts() {
    nano_ = Load(Stage("multitask", {"model.weights=float32"}));
    NamedTensors llama, clip, projector;
    for (const auto& item : nano_->named_parameters()) {
      const std::string& name = item.key();
      if (name.starts_with(kHfVisionPrefix)) {
        clip["vision_model." + name.substr(kHfVisionPrefix.size())] = item.value();
      } else if (name.starts_with(kHfProjectorPrefix)) {
        projector[name] = item.value();
      } else {
        llama[name] = item.value();
      }
    }
    for (const char* name : {"llama", "clip"}) fs::create_directory(At(name));
    fs::copy(kNanoModel + "/tokenizer.model", At("llama"));
    auto text = ReadFile(kNanoModel + "/config.json", 1 << 20);
    MVLM_CHECK(text.has_value(), "{}", text.error().message);
    const nlohmann::json whole = nlohmann::json::parse(*text);
    nlohmann::json config = whole, vision = whole["vision_config"];
    vision["model_type"] = "clip_vision_model";
    config["model_type"] = "llama";
    for (const auto& item : whole.items()) {
      if (item.key().starts_with("mm_") || item.key() == "vision_config") config.erase(item.key());
    }
    std::ofstream(At("llama/config.json")) << config;
    std::ofstream(At("clip/config.json")) << vision;
    for (const auto& [path, tensors] : {std::pair{At("llama/model.safetensors"), llama},
                                        {At("clip/model.safetensors"), clip},
                                        {At("mm_projector.safetensors"), projector}}) {
      const Status written = WriteTensors(path, tensors);
      MVLM_CHECK(written.has_value(), "{}", written.error().message);
    }
  }

  static MobileVlm Load(const Recipe& recipe) {
    auto start = LoadStartModel(recipe);
    MVLM_CHECK(start.has_value(), "{}", start.error().message);
    return start->model;
  }

  // The names of the parameters that are not the nano model's.
  std::vector<std::string> Others(const Recipe& recipe) const {
    std::vector<std::string> others;
    const MobileVlm model = Load(recipe);
    const auto wanted = nano_->named_parameters();
    EXPECT_EQ(model->named_parameters().size(), wanted.size());
    for (const auto& item : model->named_parameters()) {
      if (!torch::equal(item.value(), wanted[item.key()])) others.push_back(item.key());
    }
    return others;
  }

  MobileVlm nano_{nullptr};
};

TEST_F(FromParts, TowerAndDecoderAreTheirsAndTheProjectorIsFreshOrGiven) {
  const std::vector<std::string> parts{"model.start=" + At("llama"), "model.vision=" + At("clip"),
                                       "model.projector=ldpnetv2", "model.weights=float32"};
  const std::vector<std::string> fresh = Others(Stage("pretrain", parts));
  EXPECT_FALSE(fresh.empty());
  EXPECT_THAT(fresh, testing::Each(testing::StartsWith(std::string(kHfProjectorPrefix))));
  std::vector<std::string> given = parts;
  given.push_back("model.projector_weights=" + At("mm_projector.safetensors"));
  EXPECT_THAT(Others(Stage("v1-finetune", given)), testing::IsEmpty());
}

// The projector that stage 1 of V1 saves is what its stage 2 begins with.
TEST_F(FromParts, TheFirstStagesResultStartsTheSecond) {
  Write(Mixed(8));
  const std::vector<std::string> parts{"model.start=" + At("llama"), "model.vision=" + At("clip"),
                                       "model.projector=ldpnetv2", "model.weights=float32",
                                       "schedule.steps=2"};
  ASSERT_EQ(RunError(Stage("v1-pretrain", parts), "run"), "");
  const std::string projector = At("run/v1-pretrain/latest/mm_projector.safetensors");
  std::vector<std::string> second = parts;
  second.push_back("model.projector_weights=" + projector);
  const Recipe recipe = Stage("v1-finetune", second);
  const auto saved = ReadTensors(projector);
  ASSERT_TRUE(saved.has_value()) << saved.error().message;
  const auto loaded = Load(recipe)->named_parameters();
  ASSERT_FALSE(saved->tensors.empty());
  for (const auto& [name, tensor] : saved->tensors) EXPECT_TRUE(torch::equal(tensor, loaded[name])) << name;
  EXPECT_EQ(RunError(recipe, "run"), "");
}

TEST_F(FromParts, TextAloneTrainsALlama) {
  nlohmann::json samples = nlohmann::json::array();
  for (int i = 0; i < 10; ++i) samples.push_back(Asked(i, "", "Say a number."));
  Write(samples);
  const Recipe recipe = Stage("mobilellama-sft", {"model.start=" + At("llama"), "schedule.steps=6"});
  ASSERT_EQ(RunError(recipe, "run"), "");
  const std::vector<double> losses = Losses("run", "mobilellama-sft");
  EXPECT_LT(losses.back(), losses.front());
  // What it saved is a LLaMA again.
  const auto again = LoadStartModel(
      Stage("mobilellama-sft", {"model.start=" + At("run/mobilellama-sft/latest"), "schedule.steps=1"}));
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_FALSE(again->config.multimodal);
}

class LeftOut : public Finetuning {
 protected:
  // Twenty samples, of which one has no answer and one no picture.
  void WriteFaulty() const {
    nlohmann::json samples = Mixed(20);
    samples[4]["conversations"].erase(1);
    samples[8]["image"] = "nowhere.png";
    Write(samples);
  }
  std::string Listed() const {
    const auto text = ReadFile(At("run/lora/skipped.txt"), 1 << 20);
    return text ? std::string(*text) : "";
  }
};

TEST_F(LeftOut, SamplesAreReplacedAndListed) {
  WriteFaulty();
  ASSERT_EQ(RunError(Stage("lora", {"lora.rank=4", "data.missing_limit=0.2", "schedule.epochs=1"}), "run"),
            "");
  const std::string listed = Listed();
  EXPECT_EQ(std::count(listed.begin(), listed.end(), '\n'), 2) << listed;
  EXPECT_THAT(listed, HasSubstr("a.json: sample 5 (id s4): "));
  EXPECT_THAT(listed, HasSubstr("a.json: sample 9 (id s8): "));
  EXPECT_THAT(listed, HasSubstr("nowhere.png"));
  // Of a run that is resumed, too, and has nothing left to do.
  ASSERT_EQ(RunError(Stage("lora", {"lora.rank=4", "data.missing_limit=0.2", "schedule.epochs=1"}), "run"),
            "");
  EXPECT_EQ(Listed(), listed);
}

TEST_F(LeftOut, WhatIsHeldBackReplacesNothing) {
  nlohmann::json samples = Mixed(20);
  for (const size_t gone : {0, 1, 2, 4, 5, 6, 8, 9}) samples[gone]["image"] = "nowhere.png";
  Write(samples);
  const Recipe recipe = Stage("lora", {"lora.rank=4", "data.missing_limit=1"});
  const auto start = LoadStartModel(recipe);
  ASSERT_TRUE(start.has_value()) << start.error().message;
  const Tokenizer tokenizer = *MakeTokenizer(start->tokenizer_model, kNanoModel);
  const auto batches = AnnotatedBatches::Open(recipe, start->config, tokenizer, start->model->positions());
  ASSERT_TRUE(batches.has_value()) << batches.error().message;
  ASSERT_EQ(batches->held_back(), 2u);
  const std::vector<PreparedSample> held = batches->Examples(2);
  ASSERT_FALSE(held.empty());
  for (int64_t step = 0; step < 30; ++step) {
    for (const MicroBatch& batch : batches->Step(step, [](size_t) { return true; })) {
      for (int64_t s = 0; s < batch.text.batch; ++s) {
        const int64_t* ids = batch.text.ids.data_ptr<int64_t>() + s * batch.text.tokens;
        for (const PreparedSample& sample : held) {
          EXPECT_FALSE(std::equal(sample.tokens.ids.begin(), sample.tokens.ids.end(), ids)) << step;
        }
      }
    }
  }
}

TEST_F(LeftOut, TooManyEndTheTrainingAndAreListed) {
  nlohmann::json samples = Mixed(20);
  samples[8]["image"] = samples[9]["image"] = "nowhere.png";
  Write(samples);
  const std::string error =
      RunError(Stage("lora", {"lora.rank=4", "data.missing_limit=0.05", "schedule.epochs=1"}), "run");
  EXPECT_THAT(error, HasSubstr("2 of 20 samples cannot be used, more than 5 %"));
  EXPECT_THAT(Listed(), HasSubstr("(id s8)"));
}

TEST_F(LeftOut, DefectsAboveTheLimitAreToldBeforeWeightsAreLoaded) {
  WriteFaulty();
  const Recipe recipe =
      Stage("lora", {"model.start=" + At("nothing"), "lora.rank=4", "data.missing_limit=0"});
  EXPECT_THAT(RunError(recipe, "run"), HasSubstr("a.json: sample 5 (id s4): "));
}

TEST_F(Finetuning, SharesThatLeaveNoSampleAreAnError) {
  Write(Mixed(40));
  const std::string nothing = At("nothing");  // told before weights are loaded
  EXPECT_EQ(RunError(Stage("lora", {"model.start=" + nothing, "data.shares=0.01"}), "run"),
            "data.shares: an epoch has no sample: 0.01 of 40 samples of " + At("a.json"));
  std::ofstream(At("b.json")) << Mixed(8);
  const std::string files = fmt::format(R"(data.annotations=["{}", "{}"])", At("a.json"), At("b.json"));
  EXPECT_EQ(RunError(Stage("lora", {"model.start=" + nothing, files, "data.shares=[0, 0.05]"}), "run"),
            fmt::format("data.shares: an epoch has no sample: 0 of 40 samples of {}, 0.05 of 8 samples of {}",
                        At("a.json"), At("b.json")));
}

TEST_F(Finetuning, AnEpochOfOneSampleIsTrained) {
  Write(Mixed(40));
  EXPECT_EQ(RunError(Stage("lora", {"lora.rank=4", "data.shares=0.02", "schedule.steps=3"}), "run"), "");
}

// A held-back sample whose second turn shows the first picture.
TEST_F(Finetuning, PicturesOfLaterTurnsAreNotShownToTheFirst) {
  nlohmann::json samples = nlohmann::json::array();
  for (int i = 0; i < 10; ++i) {
    samples.push_back(Asked(i, "", "What do you see?"));
    samples.back()["image"] = {"image_336.png", "image_336.png"};
    samples.back()["conversations"][0]["value"] = "<image>\nWhat do you see?";
    samples.back()["conversations"].push_back(Says("human", "<image>\nAnd here?"));
    samples.back()["conversations"].push_back(Says("gpt", "The same."));
  }
  Write(samples);
  const Recipe recipe = Stage("lora", {"lora.rank=4", "schedule.steps=1"});
  EXPECT_EQ(RunError(recipe, "run"), "");
}

TEST_F(Finetuning, AnAnswerEndsWhereTheModelHasNoMoreRoom) {
  auto start = LoadStartModel(Stage("lora", {"lora.rank=4"}));
  ASSERT_TRUE(start.has_value()) << start.error().message;
  MobileVlm model = start->model;
  constexpr int kNoEnd = -1;
  TokenSample prompt;
  prompt.ids.assign(static_cast<size_t>(model->positions()) - 2, 7);
  prompt.supervised.assign(prompt.ids.size(), 0);
  EXPECT_EQ(ContinueGreedily(*model, prompt, {}, 8, kNoEnd).size(), 3u);
}

}  // namespace
}  // namespace mobilevlm::train
