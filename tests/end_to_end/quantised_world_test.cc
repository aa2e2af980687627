// What quantisation costs where it counts: answers about the mini world. The bundled model's weights with
// float activations stand for the F16 model: F16 holds every one of its Q8_0 weights to 11 bits.
#include <gtest/gtest.h>

#include "eval/world_suite.h"
#include "files.h"
#include "process.h"
#include "world/world.h"

namespace mobilevlm::golden {
namespace {

constexpr uint64_t kPerKind = 50;
constexpr double kMostLostByQ8_0 = 0.5, kMostLostByQ4_K = 2.0;  // points, all kinds together

// Per cent of right answers, all kinds together.
double Accuracy(const std::string& text, bool float_activations) {
  auto world = world::World::Create({});
  EXPECT_TRUE(world) << world.error().message;
  const auto model = Model::Load({.text = text,
                                  .mmproj = MOBILEVLM_SOURCE_DIR "/models/mini/mmproj.gguf",
                                  .float_activations = float_activations});
  EXPECT_TRUE(model) << model.error().message;
  eval::WorldSuite suite(*world, world::Split::kTest, world::Kinds(), kPerKind);
  const auto report =
      eval::RunSuite(*model, [&] { return suite.Next(); }, {.total = suite.size(), .ask_blank = false});
  EXPECT_TRUE(report) << report.error().message;
  int right = 0, asked = 0;
  for (const eval::KindScore& kind : report->kinds) right += kind.correct, asked += kind.total;
  EXPECT_EQ(asked, static_cast<int>(suite.size()));
  return 100.0 * right / asked;
}

TEST(QuantisedWorld, Q8_0AndQ4_KAnswerAsF16Does) {
  const std::string text = MOBILEVLM_SOURCE_DIR "/models/mini/text.gguf";
  const TemporaryDirectory directory;
  const ProcessResult made =
      Process::Run({"quantize", text, directory.Path("q4_k.gguf"), "q4_k_m", "--requantize"});
  ASSERT_EQ(made.exit_code, 0) << made.err;

  const double f16 = Accuracy(text, true), q8_0 = Accuracy(text, false);
  const double q4_k = Accuracy(directory.Path("q4_k.gguf"), false);
  RecordProperty("f16", std::to_string(f16));
  RecordProperty("q8_0", std::to_string(q8_0));
  RecordProperty("q4_k", std::to_string(q4_k));
  std::printf("F16 %.2f %%, Q8_0 %.2f %%, Q4_K_M %.2f %%\n", f16, q8_0, q4_k);
  EXPECT_GE(q8_0, f16 - kMostLostByQ8_0);
  EXPECT_GE(q4_k, f16 - kMostLostByQ4_K);
}

}  // namespace
}  // namespace mobilevlm::golden
