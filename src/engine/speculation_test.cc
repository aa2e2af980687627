// Speculative decoding changes no id: models, options and draft lengths, with and without.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "base/random.h"
#include "engine/draft_policy.h"
#include "engine/runtime.h"
#include "mobilevlm/mobilevlm.h"

namespace mobilevlm {
namespace {

const std::string kSource = MOBILEVLM_SOURCE_DIR;

// A directory with text.gguf and mmproj.gguf, and a picture for it.
struct ModelFiles {
  std::string name, directory, picture;
  friend void PrintTo(const ModelFiles& model, std::ostream* out) { *out << model.name; }
};

std::vector<ModelFiles> NanoModels() {
  const std::string golden = kSource + "/tests/golden/";
  return {{"nano_ldpv2", golden + "nano-ldpv2", golden + "image_336.png"},
          {"nano_mlp", golden + "nano-mlp", golden + "image_336.png"},
          {"nano80_ldp", golden + "nano80-ldp", golden + "image_336.png"}};
}

std::vector<ModelFiles> AllModels() {
  std::vector<ModelFiles> models = NanoModels();
  const std::string mini = kSource + "/models/mini";
  models.push_back({"mini", mini, mini + "/samples/farm.png"});
  return models;
}

class Speculation : public ::testing::TestWithParam<ModelFiles> {
 protected:
  static LoadOptions Files(const std::string& isa = "") {
    LoadOptions options;
    options.text = GetParam().directory + "/text.gguf";
    options.mmproj = GetParam().directory + "/mmproj.gguf";
    options.threads = 2;
    options.isa = isa;
    return options;
  }
  static Model MustLoad(const LoadOptions& options) {
    Result<Model> model = Model::Load(options);
    EXPECT_TRUE(model) << model.error().message;
    return std::move(*model);
  }
  static Session MustStart(const Model& model) {
    Result<Session> session = model.NewSession();
    EXPECT_TRUE(session) << session.error().message;
    return std::move(*session);
  }
  // A conversation of its own, on the tower's work of the one before.
  static Answer MustAsk(Session& session, const GenerateOptions& options,
                        std::string_view prompt = "What is this?") {
    session.Reset();
    Result<Answer> answer = session.Ask({Picture::FromFile(GetParam().picture)}, prompt, options);
    EXPECT_TRUE(answer) << answer.error().message;
    return answer.value_or(Answer());
  }
  static void ExpectSame(const Answer& with, const Answer& without) {
    EXPECT_EQ(with.ids, without.ids);
    EXPECT_EQ(with.text, without.text);
    EXPECT_EQ(with.stop, without.stop);
    EXPECT_EQ(with.stats.generated, without.stats.generated);
    EXPECT_EQ(without.stats.drafted, 0);
    EXPECT_LE(with.stats.accepted, with.stats.drafted);
  }
};

INSTANTIATE_TEST_SUITE_P(Models, Speculation, ::testing::ValuesIn(AllModels()),
                         [](const auto& test) { return test.param.name; });

// Models that go on for as long as they are let; mini's answers are a few words.
class SpeculationOfLongAnswers : public Speculation {};
INSTANTIATE_TEST_SUITE_P(Models, SpeculationOfLongAnswers, ::testing::ValuesIn(NanoModels()),
                         [](const auto& test) { return test.param.name; });

// The rule everything rests on: a batch gives the logits of its positions one by one, to the bit.
TEST_P(Speculation, LogitsOfABatchAreThoseOfOneByOne) {
  for (const std::string isa : {"", "generic"}) {
    auto runtime = engine::Runtime::Load(Files(isa));
    ASSERT_TRUE(runtime) << runtime.error().message;
    engine::Pipeline& pipeline = (*runtime)->pipeline();
    const size_t vocab = static_cast<size_t>((*runtime)->model().llm.vocab);
    Random random(5);
    std::vector<engine::Position> text(2 * (1 + engine::kMostDrafted));
    for (auto& position : text) position.id = static_cast<int32_t>(random.Below(vocab));

    auto cache = (*runtime)->NewCache();
    ASSERT_TRUE(cache);
    std::vector<float> single(text.size() * vocab);
    for (size_t i = 0; i < text.size(); ++i) {
      pipeline.Step(text[i].id, *cache, Mat<float>(single.data() + i * vocab, 1, vocab));
    }
    std::vector<float> batch(text.size() * vocab);
    for (size_t n = 2; n <= 1 + engine::kMostDrafted; ++n) {
      cache->Truncate(0);
      for (size_t i = 0; i < text.size(); i += n) {
        const auto part = std::span(text).subspan(i, std::min(n, text.size() - i));
        pipeline.Prefill(part, *cache, Mat<float>(batch.data() + i * vocab, part.size(), vocab));
      }
      ASSERT_EQ(std::memcmp(batch.data(), single.data(), batch.size() * sizeof(float)), 0)
          << n << " at a time, ISA '" << isa << "'";
    }
  }
}

// The same for threads: eight read a prompt at once, one reads it id by id.
TEST_P(Speculation, LogitsOfEightThreadsAreThoseOfOne) {
  std::vector<float> logits[2];
  for (const int threads : {1, 8}) {
    LoadOptions files = Files();
    files.threads = threads;
    auto runtime = engine::Runtime::Load(files);
    ASSERT_TRUE(runtime) << runtime.error().message;
    engine::Pipeline& pipeline = (*runtime)->pipeline();
    ASSERT_EQ(pipeline.threads(), threads);
    const size_t vocab = static_cast<size_t>((*runtime)->model().llm.vocab);
    Random random(5);
    std::vector<engine::Position> text(40);
    for (auto& position : text) position.id = static_cast<int32_t>(random.Below(vocab));
    auto cache = (*runtime)->NewCache();
    ASSERT_TRUE(cache);
    std::vector<float>& found = logits[threads == 8];
    found.resize((text.size() + 1) * vocab);
    const size_t together = threads == 8 ? text.size() : 1;
    for (size_t i = 0; i < text.size(); i += together) {
      pipeline.Prefill(std::span(text).subspan(i, together), *cache,
                       Mat<float>(found.data() + i * vocab, together, vocab));
    }
    // And one id by both.
    pipeline.Step(text[0].id, *cache, Mat<float>(found.data() + text.size() * vocab, 1, vocab));
  }
  ASSERT_EQ(logits[0].size(), logits[1].size());
  EXPECT_EQ(std::memcmp(logits[0].data(), logits[1].data(), logits[0].size() * sizeof(float)), 0);
}

TEST_P(Speculation, SameIdsForEveryDraftLengthAndCache) {
  for (const KvType kv : {KvType::kF16, KvType::kF32, KvType::kQ8_0}) {
    LoadOptions files = Files();
    files.kv = kv;
    const Model model = MustLoad(files);
    Session session = MustStart(model);
    // Repeating the question gives prompt lookup something to find in the prompt too.
    for (const std::string_view prompt :
         {"What is this?", "Say: a cat and a dog and a cat and a dog and a"}) {
      const Answer plain = MustAsk(session, {.max_tokens = 96, .speculate = 0}, prompt);
      for (const int n : {GenerateOptions::kSpeculateAuto, 1, 2, 3, 5, 8, 16}) {
        ExpectSame(MustAsk(session, {.max_tokens = 96, .speculate = n}, prompt), plain);
      }
    }
  }
}

// The penalty depends on all ids before, so every row of a batch has its own.
TEST_P(Speculation, SameIdsWithARepetitionPenalty) {
  const Model model = MustLoad(Files());
  Session session = MustStart(model);
  for (const float penalty :
       {0.8f, 1.05f, 1.3f}) {  // below 1 repetition is encouraged: many drafts are right
    const Answer plain = MustAsk(session, {.max_tokens = 64, .repetition_penalty = penalty, .speculate = 0});
    ExpectSame(MustAsk(session, {.max_tokens = 64, .repetition_penalty = penalty, .speculate = 8}), plain);
  }
}

TEST_P(Speculation, StopsAtTheSamePlaceForEveryLimit) {
  const Model model = MustLoad(Files());
  Session session = MustStart(model);
  const Answer whole = MustAsk(session, {.max_tokens = 40, .repetition_penalty = 0.8f, .speculate = 0});
  for (int limit = 1; limit <= 24; ++limit) {
    const Answer answer =
        MustAsk(session, {.max_tokens = limit, .repetition_penalty = 0.8f, .speculate = 16});
    const size_t count = std::min<size_t>(static_cast<size_t>(limit), whole.ids.size());
    EXPECT_EQ(answer.ids, std::vector<int>(whole.ids.begin(), whole.ids.begin() + static_cast<long>(count)));
  }
  if (whole.text.size() < 4) return;
  const std::vector<std::string> stop{whole.text.substr(whole.text.size() / 2, 2)};
  ExpectSame(MustAsk(session, {.max_tokens = 40, .repetition_penalty = 0.8f, .stop = stop, .speculate = 16}),
             MustAsk(session, {.max_tokens = 40, .repetition_penalty = 0.8f, .stop = stop, .speculate = 0}));
}

TEST_P(Speculation, FillsTheContextExactly) {
  LoadOptions files = Files();
  files.context = 116 + MustLoad(files).Describe().visual_tokens;
  const Model model = MustLoad(files);
  Session session = MustStart(model);
  const GenerateOptions off{.max_tokens = 1000, .repetition_penalty = 0.8f, .speculate = 0};
  GenerateOptions on = off;
  on.speculate = 16;
  const Answer plain = MustAsk(session, off);
  ExpectSame(MustAsk(session, on), plain);
}

// Rejected drafts leave nothing behind: the next turn reads what a session without speculation reads.
TEST_P(Speculation, LaterTurnsAreTheSame) {
  const Model model = MustLoad(Files());
  const auto talk = [&](int speculate) {
    Session session = MustStart(model);
    std::vector<std::vector<int>> ids;
    std::vector<int> positions, reused;
    for (const char* question : {"What is this?", "What is this, what is this?", "And what is that?"}) {
      std::vector<Picture> pictures;
      if (ids.empty()) pictures.push_back(Picture::FromFile(GetParam().picture));
      const auto answer = session.Ask(pictures, question, {.max_tokens = 24, .speculate = speculate});
      EXPECT_TRUE(answer);
      ids.push_back(answer->ids);
      positions.push_back(answer->stats.prompt_positions);
      reused.push_back(answer->stats.reused_positions);
    }
    // All of the first prompt but what the first answer made of its end.
    EXPECT_GE(reused[1], positions[0] - 3);
    return ids;
  };
  const auto plain = talk(0), fixed = talk(8), adaptive = talk(GenerateOptions::kSpeculateAuto);
  EXPECT_EQ(fixed, plain);
  EXPECT_EQ(adaptive, plain);
}

TEST_P(Speculation, SamplingIsLeftAlone) {
  const Model model = MustLoad(Files());
  Session session = MustStart(model);
  const GenerateOptions off{.max_tokens = 32, .temperature = 0.9f, .seed = 4, .speculate = 0};
  GenerateOptions on = off;
  on.speculate = 8;
  const Answer answer = MustAsk(session, on);
  ExpectSame(answer, MustAsk(session, off));
  EXPECT_EQ(answer.stats.drafted, 0);
}

// Not vacuous: drafts are made, confirmed and refused. With a penalty below 1 a model repeats itself.
TEST_P(SpeculationOfLongAnswers, DraftsAreAcceptedWhereTextRepeats) {
  const Model model = MustLoad(Files());
  Session session = MustStart(model);
  const Answer answer = MustAsk(session, {.max_tokens = 96, .repetition_penalty = 0.5f, .speculate = 8});
  EXPECT_GT(answer.stats.accepted, 20) << answer.text;
  EXPECT_GT(answer.stats.drafted, answer.stats.accepted);
}

TEST_P(Speculation, BadLengthsAreRefused) {
  const Model model = MustLoad(Files());
  Session session = MustStart(model);
  for (const int n : {-2, 17, 1000}) {
    const auto answer = session.Ask({}, "What?", {.speculate = n});
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().message.find(std::to_string(n)), std::string::npos) << answer.error().message;
  }
}

}  // namespace
}  // namespace mobilevlm
