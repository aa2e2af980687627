// Likelihoods of given answers, against the logits of a trace of the same ids.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/layout.h"
#include "engine/picture.h"
#include "engine/runtime.h"
#include "engine/test_models.h"
#include "engine/trace.h"
#include "mobilevlm/mobilevlm.h"

namespace mobilevlm {
namespace {

constexpr const char* kQuestion = "What is this?";

LoadOptions NanoF32() {
  LoadOptions options = Nano();
  options.kv = KvType::kF32;
  return options;
}

Picture TestPicture() { return Picture::FromFile(kGolden + "image_336.png"); }

double LogSoftmax(const float* row, size_t vocab, int id) {
  double sum = 0;
  for (size_t i = 0; i < vocab; ++i) sum += std::exp(double{row[i]} - row[id]);
  return -std::log(sum);
}

class Likelihoods : public ::testing::Test {
 protected:
  void SetUp() override {
    auto model = Model::Load(NanoF32());
    ASSERT_TRUE(model) << model.error().message;
    auto session = model->NewSession();
    ASSERT_TRUE(session) << session.error().message;
    session_ = std::make_unique<Session>(std::move(*session));
  }
  std::unique_ptr<Session> session_;
};

TEST_F(Likelihoods, AreThoseOfATrace) {
  const auto found = session_->Likelihoods({TestPicture()}, kQuestion, {"a red circle", "Yes"});
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 2u);
  for (const AnswerLikelihood& likelihood : *found) {
    ASSERT_EQ(likelihood.ids.size(), likelihood.log_probs.size());
    ASSERT_GE(likelihood.ids.size(), 1u);
    auto runtime = engine::Runtime::Load(NanoF32());
    ASSERT_TRUE(runtime);
    const size_t vocab = static_cast<size_t>((*runtime)->model().llm.vocab);
    engine::TraceInput input;
    input.picture = *engine::LoadPicture(TestPicture());
    ASSERT_TRUE(engine::TracePrompt((*runtime)->model(), kQuestion, input));
    input.ids_after.insert(input.ids_after.end(), likelihood.ids.begin(), likelihood.ids.end());
    const auto trace = engine::Trace(**runtime, input);
    ASSERT_TRUE(trace) << trace.error().message;
    const size_t rows = trace->prompt_logits.size() / vocab;
    for (size_t i = 0; i < likelihood.ids.size(); ++i) {
      const float* row = &trace->prompt_logits[(rows - likelihood.ids.size() + i - 1) * vocab];
      EXPECT_NEAR(likelihood.log_probs[i], LogSoftmax(row, vocab, likelihood.ids[i]), 1e-4) << i;
    }
    const double sum = std::accumulate(likelihood.log_probs.begin(), likelihood.log_probs.end(), 0.0);
    EXPECT_DOUBLE_EQ(likelihood.total(), sum);
    EXPECT_DOUBLE_EQ(likelihood.mean(), sum / static_cast<double>(likelihood.ids.size()));
  }
}

// Whatever has been asked before and beside it, an answer's likelihood is the same to the bit; no turn is
// added.
TEST_F(Likelihoods, DoNotDependOnTheirCompany) {
  const auto both = session_->Likelihoods({TestPicture()}, kQuestion, {"no", "a red circle"});
  ASSERT_TRUE(both) << both.error().message;
  const auto answer = session_->Ask({TestPicture()}, kQuestion, {.max_tokens = 4});
  ASSERT_TRUE(answer);
  session_->Reset();
  const auto alone = session_->Likelihoods({TestPicture()}, kQuestion, {"a red circle"});
  ASSERT_TRUE(alone);
  EXPECT_EQ((*alone)[0].log_probs, (*both)[1].log_probs);
  const auto again = session_->Ask({TestPicture()}, kQuestion, {.max_tokens = 4});
  ASSERT_TRUE(again);
  EXPECT_EQ(again->ids, answer->ids);
}

// The ids of earlier answers are not the answer's, and what it follows is the whole conversation.
TEST_F(Likelihoods, ReachOverEarlierTurns) {
  const auto turn = session_->Ask({TestPicture()}, kQuestion, {.max_tokens = 4});
  ASSERT_TRUE(turn);
  const auto later = session_->Likelihoods({}, "And now?", {"a red circle"});
  ASSERT_TRUE(later) << later.error().message;

  auto runtime = engine::Runtime::Load(NanoF32());
  ASSERT_TRUE(runtime);
  const engine::LoadedModel& model = (*runtime)->model();
  const auto prompt = engine::AssembleFitting(model, PromptTemplate::kV1, "",
                                              {{kQuestion, turn->text, 1}, {"And now?", "a red circle", 0}});
  ASSERT_TRUE(prompt);
  ASSERT_EQ(prompt->segments.size(), 3u);
  engine::TraceInput input;
  input.picture = *engine::LoadPicture(TestPicture());
  input.ids_before = prompt->segments[0].ids;
  input.ids_after = prompt->segments[2].ids;
  input.ids_after.pop_back();  // </s>
  const std::vector<int>& ids = (*later)[0].ids;
  const auto fresh = session_->Likelihoods({TestPicture()}, kQuestion, {"a red circle"});
  ASSERT_TRUE(fresh);
  EXPECT_EQ(ids, (*fresh)[0].ids);
  ASSERT_TRUE(std::equal(ids.rbegin(), ids.rend(), input.ids_after.rbegin()));
  const auto trace = engine::Trace(**runtime, input);
  ASSERT_TRUE(trace) << trace.error().message;
  const size_t vocab = static_cast<size_t>(model.llm.vocab), rows = trace->prompt_logits.size() / vocab;
  for (size_t i = 0; i < ids.size(); ++i) {
    const float* row = &trace->prompt_logits[(rows - ids.size() + i - 1) * vocab];
    EXPECT_NEAR((*later)[0].log_probs[i], LogSoftmax(row, vocab, ids[i]), 1e-4) << i;
  }
  const auto first = session_->Likelihoods({}, "And now?", {"a red circle"}, /*first_id_only=*/true);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ((*first)[0].ids, std::vector<int>{ids[0]});
  EXPECT_EQ((*first)[0].log_probs, std::vector<float>{(*later)[0].log_probs[0]});
}

TEST_F(Likelihoods, StatsAddUp) {
  Stats stats;
  const auto first = session_->Likelihoods({TestPicture()}, kQuestion, {"no"}, false, nullptr, &stats);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(stats.images, 1);
  EXPECT_GT(stats.image_ms, 0);
  EXPECT_GT(stats.prompt_ms, 0);
  EXPECT_EQ(stats.reused_positions, 0);
  const Stats once = stats;
  ASSERT_TRUE(session_->Likelihoods({TestPicture()}, kQuestion, {"no"}, false, nullptr, &stats));
  EXPECT_EQ(stats.images, 1) << "recognised by its content";
  EXPECT_EQ(stats.prompt_positions, 2 * once.prompt_positions);
  EXPECT_GT(stats.reused_positions, 0);
  EXPECT_LT(stats.reused_positions, once.prompt_positions);
  EXPECT_GT(stats.prompt_ms, once.prompt_ms);
}

TEST_F(Likelihoods, Refusals) {
  EXPECT_FALSE(session_->Likelihoods({}, kQuestion, {""}));
  EXPECT_FALSE(session_->Likelihoods({Picture::FromFile("nowhere.png")}, kQuestion, {"no"}));
  const std::atomic<bool> cancel{true};
  EXPECT_FALSE(session_->Likelihoods({}, kQuestion, {"no"}, false, &cancel));
}

}  // namespace
}  // namespace mobilevlm
