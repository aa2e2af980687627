// Streams of a batch against sessions that are asked alone: everything must agree to the bit.
#include "mobilevlm/batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

#include "engine/test_models.h"
#include "kernels/dispatch.h"

namespace mobilevlm {
namespace {

using ::testing::HasSubstr;

Batch MustCreate(const Model& model, const BatchOptions& options = {}) {
  Result<Batch> batch = Batch::Create(model, options);
  EXPECT_TRUE(batch) << batch.error().message;
  return std::move(*batch);
}

struct Question {
  std::vector<Picture> pictures;
  std::string prompt;
  GenerateOptions options;
};

// Long and short ones, with and without pictures, greedy and sampled.
std::vector<Question> Questions() {
  const std::string long_text =
      "Say what you see, what it is made of, where it stands and who might own it. ";
  GenerateOptions sampled{.max_tokens = 12, .temperature = 1.0f, .top_p = 0.9f, .seed = 7};
  sampled.logprobs = 3;
  GenerateOptions penalised{.max_tokens = 20, .repetition_penalty = 1.3f};
  return {
      {{Pattern(1)}, "What is this?", {.max_tokens = 9}},
      {{}, long_text + long_text + long_text, {.max_tokens = 30}},
      {{Pattern(2), Pattern(1)}, "Compare <image> with <image>.", sampled},
      {{}, "Who?", penalised},
      {{Pattern(1)}, "What is this?", {.max_tokens = 9, .temperature = 0.7f, .seed = 3}},
      {{Pattern(3)}, long_text, {.max_tokens = 3}},
  };
}

struct Outcome {
  std::string streamed;
  std::vector<Token> tokens;
  std::optional<Result<Answer>> answer;
};

void Start(Batch& batch, const Question& question, Outcome& outcome) {
  Result<BatchRequest> request =
      batch.Prepare({{Role::kUser, question.prompt, question.pictures}}, question.options);
  ASSERT_TRUE(request) << request.error().message;
  batch.Start(std::move(*request), {.on_text =
                                        [&outcome](std::string_view text, std::span<const Token> tokens) {
                                          outcome.streamed += text;
                                          outcome.tokens.insert(outcome.tokens.end(), tokens.begin(),
                                                                tokens.end());
                                        },
                                    .on_end = [&outcome](const Result<Answer>& a) { outcome.answer = a; }});
}

Answer Alone(const Model& model, const Question& question) {
  Result<Session> session = model.NewSession();
  EXPECT_TRUE(session);
  Result<Answer> answer = session->Ask(question.pictures, question.prompt, question.options);
  EXPECT_TRUE(answer) << answer.error().message;
  return answer.value_or(Answer());
}

// Every question starts two steps after the one before; with fewer streams than questions some must wait.
void ExpectAsAlone(const Model& model, const BatchOptions& options) {
  const std::vector<Question> questions = Questions();
  Batch batch = MustCreate(model, options);
  std::vector<Outcome> outcomes(questions.size());
  for (size_t i = 0; i < questions.size(); ++i) {
    while (batch.free_streams() == 0) ASSERT_TRUE(batch.Step());
    Start(batch, questions[i], outcomes[i]);
    batch.Step();
    batch.Step();
  }
  while (batch.Step()) {
  }
  for (size_t i = 0; i < questions.size(); ++i) {
    ASSERT_TRUE(outcomes[i].answer && *outcomes[i].answer) << i;
    const Answer found = **outcomes[i].answer, wanted = Alone(model, questions[i]);
    EXPECT_EQ(found.ids, wanted.ids) << i;
    EXPECT_EQ(found.text, wanted.text) << i;
    EXPECT_EQ(found.stop, wanted.stop) << i;
    EXPECT_EQ(outcomes[i].streamed, found.text) << i;
    ASSERT_EQ(found.tokens.size(), wanted.tokens.size()) << i;
    ASSERT_EQ(outcomes[i].tokens.size(), wanted.tokens.size()) << i;
    for (size_t t = 0; t < found.tokens.size(); ++t) {
      EXPECT_EQ(found.tokens[t].logprob, wanted.tokens[t].logprob) << i << ' ' << t;
      EXPECT_EQ(found.tokens[t].top[2].logprob, wanted.tokens[t].top[2].logprob) << i << ' ' << t;
    }
  }
}

TEST(Batch, StreamsSayWhatTheySayAlone) {
  const Model model = MustLoad(Nano());
  ExpectAsAlone(model, {.streams = 2, .prefill_chunk = 7, .vision_blocks = 1, .picture_cache_bytes = 0});
  ExpectAsAlone(model, {.streams = 1});
}

TEST(Batch, AlsoWithQuantisedWeights) {
  ExpectAsAlone(MustLoad(Mini()), {.prefill_chunk = 33, .vision_blocks = 3});
}

TEST(Batch, AlsoOnEveryInstructionSet) {
  for (const KernelTable* kernels : RunnableKernels()) {
    LoadOptions options = Nano();
    options.isa = kernels->name;
    SCOPED_TRACE(options.isa);
    ExpectAsAlone(MustLoad(options), {.streams = 3, .prefill_chunk = 50});
  }
}

TEST(Batch, ALongPromptHoldsUpNobody) {
  const Model model = MustLoad(Nano());
  Batch batch = MustCreate(model, {.prefill_chunk = 16, .vision_blocks = 1});
  Outcome talking, reading;
  GenerateOptions options{.max_tokens = 200};
  options.logprobs = 0;
  Start(batch, {{}, "Talk.", options}, talking);
  while (talking.tokens.empty()) batch.Step();
  std::string text;
  for (int i = 0; i < 60; ++i) text += "word ";
  Start(batch, {{Pattern(5)}, text, {.max_tokens = 1}}, reading);
  size_t steps = 0, before = talking.tokens.size();
  for (; !reading.answer && !talking.answer; ++steps) batch.Step();
  ASSERT_TRUE(reading.answer) << "the other one ended first";
  EXPECT_GT(steps, 10u);
  EXPECT_EQ(talking.tokens.size() - before, steps);  // one token in every step
}

TEST(Batch, SharesPicturesAndBeginningsBetweenRequests) {
  const Model model = MustLoad(Nano());
  Batch batch = MustCreate(model, {.streams = 3});
  const Question question{{Pattern(1)}, "What is this?", {.max_tokens = 4}};
  Outcome first, again, side, other;
  Start(batch, question, first);
  while (batch.Step()) {
  }
  EXPECT_EQ((*first.answer)->stats.images, 1);
  EXPECT_EQ((*first.answer)->stats.reused_positions, 0);

  Start(batch, question, again);
  Start(batch, {{Pattern(1)}, "Where is it?", {.max_tokens = 4}}, side);  // copies from the stream beside it
  while (batch.Step()) {
  }
  EXPECT_EQ((*again.answer)->ids, (*first.answer)->ids);
  EXPECT_EQ((*again.answer)->stats.images, 0);
  EXPECT_EQ((*again.answer)->stats.reused_positions, (*again.answer)->stats.prompt_positions - 1);
  EXPECT_GT((*side.answer)->stats.reused_positions, 144);
  EXPECT_EQ((*side.answer)->ids, Alone(model, {{Pattern(1)}, "Where is it?", {.max_tokens = 4}}).ids);

  Start(batch, {{Pattern(2)}, "What is this?", {.max_tokens = 4}}, other);
  while (batch.Step()) {
  }
  EXPECT_EQ((*other.answer)->stats.images, 1);
  EXPECT_LT((*other.answer)->stats.reused_positions, 144);
  EXPECT_EQ(batch.Describe().pictures_encoded, 2u);
  EXPECT_EQ(batch.Describe().pictures_reused, 2u);
}

TEST(Batch, TwoRequestsAtOnceEncodeTheirPictureOnce) {
  const Model model = MustLoad(Nano());
  Batch batch = MustCreate(model);
  Outcome a, b;
  Start(batch, {{Pattern(1)}, "What is this?", {.max_tokens = 4}}, a);
  Start(batch, {{Pattern(1)}, "What is this?", {.max_tokens = 4}}, b);
  while (batch.Step()) {
  }
  EXPECT_EQ(batch.Describe().pictures_encoded, 1u);
  EXPECT_EQ((*a.answer)->ids, (*b.answer)->ids);
}

TEST(Batch, KeepsPicturesWithinTheBudget) {
  const Model model = MustLoad(Nano());
  const uint64_t one = 144 * 64 * 4 + 336 * 336 * 3;
  Batch batch = MustCreate(model, {.picture_cache_bytes = 2 * one});
  const auto images = [&](int seed) {
    Outcome outcome;
    Start(batch, {{Pattern(seed)}, "What?", {.max_tokens = 1}}, outcome);
    while (batch.Step()) {
    }
    EXPECT_LE(batch.Describe().picture_cache_bytes, 2 * one);
    return (*outcome.answer)->stats.images;
  };
  EXPECT_EQ(images(1), 1);
  EXPECT_EQ(images(2), 1);
  EXPECT_EQ(images(1), 0);
  EXPECT_EQ(images(3), 1);
  EXPECT_EQ(images(1), 0);
  EXPECT_EQ(images(2), 1);
}

TEST(Batch, SeveralTurnsAreAskedAsASessionRemembersThem) {
  const Model model = MustLoad(Nano());
  Session session = *model.NewSession({.system = "Be brief."});
  const Answer first = *session.Ask({Pattern(1)}, "What is this?", {.max_tokens = 8});
  const Answer second = *session.Ask({}, "And that?", {.max_tokens = 8});
  Batch batch = MustCreate(model);
  Outcome outcome;
  Result<BatchRequest> request = batch.Prepare({{Role::kSystem, "Be brief."},
                                                {Role::kUser, "What is this?", {Pattern(1)}},
                                                {Role::kAssistant, first.text},
                                                {Role::kUser, "And that?"}},
                                               {.max_tokens = 8});
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->positions(), second.stats.prompt_positions);
  EXPECT_EQ(request->pictures(), 1);
  batch.Start(std::move(*request), {.on_end = [&](const Result<Answer>& a) { outcome.answer = a; }});
  while (batch.Step()) {
  }
  EXPECT_EQ((*outcome.answer)->ids, second.ids);
}

TEST(Batch, RefusesWhatCannotBeAsked) {
  const Model model = MustLoad(Nano());
  Batch batch = MustCreate(model);
  const auto refusal = [&](const std::vector<Message>& messages, const GenerateOptions& options = {}) {
    const Result<BatchRequest> request = batch.Prepare(messages, options);
    return request ? "" : request.error().message;
  };
  EXPECT_THAT(refusal({}), HasSubstr("the last message must be the user's"));
  EXPECT_THAT(refusal({{Role::kSystem, "S"}}), HasSubstr("the last message must be the user's"));
  EXPECT_THAT(refusal({{Role::kUser, "a"}, {Role::kAssistant, "b"}}), HasSubstr("must be the user's"));
  EXPECT_THAT(refusal({{Role::kUser, "a"}, {Role::kUser, "b"}}), HasSubstr("message 2: two user messages"));
  EXPECT_THAT(refusal({{Role::kAssistant, "a"}}), HasSubstr("message 1: an assistant message answers"));
  EXPECT_THAT(refusal({{Role::kUser, "a"}, {Role::kSystem, "b"}}), HasSubstr("system messages come first"));
  EXPECT_THAT(refusal({{Role::kSystem, "a", {Pattern(1)}}}), HasSubstr("only a user shows pictures"));
  EXPECT_THAT(refusal({{Role::kUser, "<image> and <image>", {Pattern(1)}}}), HasSubstr("2 <image> mark(s)"));
  EXPECT_THAT(refusal({{Role::kUser, "a", {Picture::FromBytes("no picture", "picture 1")}}}),
              HasSubstr("picture 1"));
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "word ";
  EXPECT_THAT(refusal({{Role::kUser, text}}), HasSubstr("but the context holds 2048"));
  EXPECT_THAT(refusal({{Role::kUser, "a"}}, {.max_tokens = 0}), HasSubstr("max tokens"));
  GenerateOptions schema;
  schema.json_schema = "{\"type\": \"strange\"}";
  EXPECT_THAT(refusal({{Role::kUser, "a"}}, schema), HasSubstr("strange is no type"));
  EXPECT_FALSE(batch.Step());
  EXPECT_FALSE(Batch::Create(model, {.streams = 0}));
  EXPECT_FALSE(Batch::Create(model, {.streams = 65}));
  EXPECT_FALSE(Batch::Create(model, {.prefill_chunk = 0}));
  const Result<Batch> large = Batch::Create(model, {.memory_limit = 1 << 20});
  ASSERT_FALSE(large);
  EXPECT_THAT(large.error().message, HasSubstr("8 streams: needs"));
}

TEST(Batch, CancelEndsAStreamAndFreesItsPlace) {
  const Model model = MustLoad(Nano());
  Batch batch = MustCreate(model, {.streams = 1});
  std::atomic<bool> cancel{false};
  Outcome outcome, next;
  Start(batch, {{Pattern(1)}, "Talk.", {.max_tokens = 1000, .cancel = &cancel}}, outcome);
  batch.Step();
  batch.Step();
  EXPECT_EQ(batch.free_streams(), 0);
  cancel = true;
  while (batch.Step()) {
  }
  ASSERT_TRUE(outcome.answer && *outcome.answer);
  EXPECT_EQ((*outcome.answer)->stop, StopReason::kCancelled);
  EXPECT_EQ(batch.free_streams(), 1);
  const Question question{{Pattern(1)}, "What is this?", {.max_tokens = 5}};
  Start(batch, question, next);
  while (batch.Step()) {
  }
  EXPECT_EQ((*next.answer)->ids, Alone(model, question).ids);
}

TEST(Batch, StopsAtTheFullContext) {
  LoadOptions options = Nano();
  options.context = 64;
  const Model model = MustLoad(options);
  Batch batch = MustCreate(model);
  Outcome outcome;
  Result<BatchRequest> request =
      batch.Prepare({{Role::kSystem, "S"}, {Role::kUser, "What?"}}, {.max_tokens = 900});
  ASSERT_TRUE(request) << request.error().message;
  batch.Start(std::move(*request), {.on_end = [&](const Result<Answer>& a) { outcome.answer = a; }});
  while (batch.Step()) {
  }
  const Answer answer = **outcome.answer;
  const Answer alone = *model.NewSession({.system = "S"})->Ask({}, "What?", {.max_tokens = 900});
  EXPECT_EQ(answer.ids, alone.ids);
  EXPECT_EQ(answer.stop, alone.stop);
}

TEST(Batch, PreparesOnOtherThreadsWhileItRuns) {
  const Model model = MustLoad(Nano());
  Batch batch = MustCreate(model, {.streams = 4});
  Outcome running;
  Start(batch, {{Pattern(9)}, "Talk.", {.max_tokens = 40}}, running);
  std::vector<std::optional<BatchRequest>> requests(3);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < requests.size(); ++i) {
    threads.emplace_back([&, i] {
      GenerateOptions options{.max_tokens = 10};
      options.json_schema = R"({"type": "object"})";
      requests[i] = *batch.Prepare({{Role::kUser, "What?", {Pattern(static_cast<int>(i))}}}, options);
    });
  }
  while (batch.Step()) {
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<Outcome> outcomes(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    batch.Start(std::move(*requests[i]),
                {.on_end = [&, i](const Result<Answer>& a) { outcomes[i].answer = a; }});
  }
  while (batch.Step()) {
  }
  for (const Outcome& outcome : outcomes) EXPECT_TRUE(outcome.answer && *outcome.answer);
}

}  // namespace
}  // namespace mobilevlm
