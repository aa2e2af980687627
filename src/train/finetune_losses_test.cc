// The recorded losses of stages that read annotation files, on the nano model.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "train/test_finetuning.h"
#include "train/test_losses.h"

namespace mobilevlm::train {
namespace {

class FinetuneLosses : public Finetuning {
 protected:
  static constexpr size_t kSteps = 8;

  // What a shipped recipe may change some day is said here.
  std::vector<double> LossesOf(const std::string& stage, std::vector<std::string> overrides) const {
    overrides.insert(overrides.begin(),
                     {fmt::format("schedule.steps={}", kSteps), "model.gradient_checkpointing=true",
                      "schedule.loss_average=rank", "schedule.warmup_ratio=0.03", "run.seed=1",
                      "run.validation_samples=0", "run.samples=0"});
    EXPECT_EQ(RunError(Stage(stage, overrides), stage), "");
    return Losses(stage, stage);
  }
};

// The whole decoder in float32, with two rates; in bfloat16 with a master copy; and LoRA's factors with
// dropout beside a narrow decoder. Twelve samples are three steps, so the order of three epochs is in it too.
TEST_F(FinetuneLosses, AreThoseRecorded) {
  Write(Mixed(12));
  nlohmann::json losses;
  losses["pretrain"] = LossesOf(
      "pretrain", {"model.weights=float32", "data.template=plain", "optimizer.projector_learning_rate=5e-3"});
  losses["multitask"] = LossesOf("multitask", {"model.weights=bfloat16", "data.template=v1"});
  losses["lora"] = LossesOf("lora", {"model.frozen_weights=bfloat16", "data.template=v1", "lora.rank=4",
                                     "lora.alpha=8", "lora.dropout=0.05"});
  for (const auto& [run, found] : losses.items()) {
    ASSERT_EQ(found.size(), kSteps) << run;
    EXPECT_LT(found.back().get<double>(), found.front().get<double>()) << run;
  }
  // Where arithmetic differs, a weight in bfloat16 is rounded the other way now and then.
  ExpectRecordedLosses("finetune_losses.json", losses, {{"pretrain", 2e-3}}, 2e-2);
}

}  // namespace
}  // namespace mobilevlm::train
