// A stage is kept only beside the weights that it was made from.
#include "train/stage_inputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "train/checkpoint.h"
#include "train/runlog/checkpoint_directory.h"
#include "train/test_support.h"

namespace mobilevlm::train {
namespace {

using testing::HasSubstr;

class StageInputsTest : public testing::Test {
 protected:
  void Save(const std::string& stage, int64_t step, float weight, const std::string& inputs = "") {
    const Status saved =
        SaveCheckpoint(directory_.path() + "/" + stage, step, 1, [&](const std::string& path) -> Status {
          MVLM_TRY(WriteTensors(path + "/model.safetensors", {{"weight", torch::full({2}, weight)}}));
          return WriteState(path, {{"step", step}, {"data", inputs}});
        });
    ASSERT_TRUE(saved.has_value()) << saved.error().message;
  }
  std::string Inputs() const { return StageInputs(directory_.path(), "align").value(); }
  Status Check() const { return CheckInputs(directory_.path(), "multitask", "align"); }

  const TemporaryDirectory directory_;
};

TEST_F(StageInputsTest, AChangedStageIsNoticed) {
  EXPECT_THAT(ErrorOf(StageInputs(directory_.path(), "align")), HasSubstr("/tower: no checkpoint"));
  EXPECT_TRUE(Check().has_value()) << "nothing was trained yet";
  Save("tower", 10, 1);
  Save("align", 10, 2);
  Save("multitask", 10, 3, Inputs());
  EXPECT_TRUE(Check().has_value());
  Save("tower", 20, 1);  // the same weights
  EXPECT_TRUE(Check().has_value());

  for (const std::string stage : {"tower", "align"}) {
    Save(stage, 30, 4);
    const Status changed = Check();
    ASSERT_FALSE(changed.has_value()) << stage;
    EXPECT_THAT(changed.error().message, HasSubstr("/multitask: was trained on another tower"));
    Save("multitask", stage == "tower" ? 40 : 50, 3, Inputs());
    EXPECT_TRUE(Check().has_value()) << stage;
  }
}

}  // namespace
}  // namespace mobilevlm::train
