// The C interface says what the C++ one says, refuses what makes no sense, and keeps its promises to programs
// that were compiled against another age of the header.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>

#include "base/read_file.h"
#include "capi/structs.h"
#include "capi/test_support.h"
#include "mobilevlm/mobilevlm.h"

namespace mobilevlm::capi {
namespace {

using ::testing::HasSubstr;

mobilevlm_ask_options Sampled(int tokens = 24) {
  mobilevlm_ask_options options = MOBILEVLM_ASK_OPTIONS_INIT;
  options.max_tokens = tokens;
  options.temperature = 0.9f;
  options.top_p = 0.95f;
  options.seed = 11;
  return options;
}

TEST(C, VersionsAreThoseOfTheHeaders) {
  EXPECT_EQ(mobilevlm_abi_version(), MOBILEVLM_ABI_VERSION);
  EXPECT_STREQ(mobilevlm_version(), Version());
}

TEST(C, AnswersAreThoseOfTheCppInterface) {
  const Owned<mobilevlm_model> model = LoadNano();
  const Owned<mobilevlm_session> session = Start(model.get());
  const Owned<mobilevlm_answer> answer =
      Ask(session.get(), PatternPicture(3).get(), "What is this?", Sampled());
  ASSERT_NE(answer, nullptr);

  const Result<Model> own_model = Model::Load({.text = kText, .mmproj = kMmproj, .threads = 1});
  ASSERT_TRUE(own_model);
  Result<Session> own_session = own_model->NewSession();
  ASSERT_TRUE(own_session);
  const Result<Answer> own =
      own_session->Ask({Picture::FromRgb(336, 336, Pattern(3))}, "What is this?",
                       {.max_tokens = 24, .temperature = 0.9f, .top_p = 0.95f, .seed = 11});
  ASSERT_TRUE(own);
  EXPECT_EQ(Ids(answer.get()), own->ids);
  EXPECT_EQ(mobilevlm_answer_text(answer.get()), own->text);
  EXPECT_STREQ(mobilevlm_stop_reason_name(mobilevlm_answer_stop_reason(answer.get())),
               StopReasonName(own->stop));

  mobilevlm_stats stats = MOBILEVLM_STATS_INIT;
  ASSERT_EQ(mobilevlm_answer_stats(answer.get(), &stats, nullptr), 1);
  EXPECT_EQ(stats.generated, own->stats.generated);
  EXPECT_EQ(stats.prompt_positions, own->stats.prompt_positions);
  EXPECT_EQ(stats.images, 1);
  EXPECT_GT(stats.image_ms, 0);
}

TEST(C, DescribesTheModel) {
  const Owned<mobilevlm_model> model = LoadNano();
  mobilevlm_model_info info = MOBILEVLM_MODEL_INFO_INIT;
  ASSERT_EQ(mobilevlm_model_describe(model.get(), &info, nullptr), 1);
  EXPECT_EQ(info.text_path, kText);
  EXPECT_EQ(info.mmproj_path, kMmproj);
  EXPECT_STREQ(info.projector, "ldpv2");
  EXPECT_EQ(info.image_size, 336);
  EXPECT_EQ(info.visual_tokens, 144);
  EXPECT_EQ(info.context, 2048);
  EXPECT_EQ(info.threads, 1);
  EXPECT_GT(info.weights_bytes, 0u);
  EXPECT_GT(info.kv_cache_bytes, 0u);
}

TEST(C, APictureIsTheSameFromFileAndFromMemory) {
  const Owned<mobilevlm_model> model = LoadNano();
  const std::string path = kGolden + "image_336.png";
  const Result<std::string> bytes = ReadFile(path, 1 << 20);
  ASSERT_TRUE(bytes);
  const Owned<mobilevlm_picture> file(mobilevlm_picture_from_file(path.c_str(), nullptr));
  const Owned<mobilevlm_picture> memory(
      mobilevlm_picture_from_memory(bytes->data(), bytes->size(), nullptr, nullptr));
  const auto ids = [&](const mobilevlm_picture* picture) {
    return Ids(Ask(Start(model.get()).get(), picture, "What is this?", Sampled()).get());
  };
  const std::vector<int> expected = ids(file.get());
  EXPECT_FALSE(expected.empty());
  EXPECT_EQ(ids(memory.get()), expected);
  EXPECT_NE(ids(PatternPicture(1).get()), expected);
}

TEST(C, StreamsTheAnswerToTheCallback) {
  const Owned<mobilevlm_model> model = LoadNano();
  const Owned<mobilevlm_session> session = Start(model.get());
  std::string streamed;
  mobilevlm_ask_options options = Sampled(30);
  options.user_data = &streamed;
  options.on_text = [](void* user_data, const char* text, size_t size) {
    static_cast<std::string*>(user_data)->append(text, size);
  };
  const Owned<mobilevlm_answer> answer = Ask(session.get(), nullptr, "What?", options);
  EXPECT_FALSE(streamed.empty());
  EXPECT_THAT(streamed, HasSubstr(mobilevlm_answer_text(answer.get())));
}

TEST(C, CancellationEndsTheAnswerUntilItIsReset) {
  const Owned<mobilevlm_model> model = LoadNano();
  const Owned<mobilevlm_session> session = Start(model.get());
  const Owned<mobilevlm_cancellation> cancellation(mobilevlm_cancellation_new());
  mobilevlm_ask_options options = Sampled(400);
  options.cancellation = cancellation.get();
  options.user_data = cancellation.get();
  options.on_text = [](void* user_data, const char*, size_t) {
    mobilevlm_cancellation_request(static_cast<mobilevlm_cancellation*>(user_data));
  };
  const Owned<mobilevlm_answer> some = Ask(session.get(), nullptr, "What?", options);
  EXPECT_EQ(mobilevlm_answer_stop_reason(some.get()), MOBILEVLM_STOP_CANCELLED);
  EXPECT_LT(Ids(some.get()).size(), 20u);

  const Owned<mobilevlm_answer> none = Ask(session.get(), nullptr, "What?", options);
  EXPECT_TRUE(Ids(none.get()).empty());

  mobilevlm_cancellation_reset(cancellation.get());
  options.on_text = nullptr;
  options.max_tokens = 5;
  const Owned<mobilevlm_answer> all = Ask(session.get(), nullptr, "What?", options);
  EXPECT_NE(mobilevlm_answer_stop_reason(all.get()), MOBILEVLM_STOP_CANCELLED);
}

TEST(C, StopStringsAndResetWork) {
  const Owned<mobilevlm_model> model = LoadNano();
  const Owned<mobilevlm_session> session = Start(model.get());
  const std::string whole = mobilevlm_answer_text(Ask(session.get(), nullptr, "What?", Sampled(40)).get());
  ASSERT_GT(whole.size(), 8u);
  mobilevlm_session_reset(session.get());

  const std::string stop = whole.substr(whole.size() / 2, 2);
  const char* stops[] = {stop.c_str()};
  mobilevlm_ask_options options = Sampled(40);
  options.stop = stops;
  options.stop_count = 1;
  const Owned<mobilevlm_answer> answer = Ask(session.get(), nullptr, "What?", options);
  EXPECT_EQ(mobilevlm_answer_stop_reason(answer.get()), MOBILEVLM_STOP_STRING);
  EXPECT_EQ(whole.rfind(mobilevlm_answer_text(answer.get()), 0), 0u) << "the answer after Reset is the same";
}

TEST(C, AnswersFollowAJsonSchema) {
  const Owned<mobilevlm_model> model = LoadNano();
  const Owned<mobilevlm_session> session = Start(model.get());
  mobilevlm_ask_options options = Sampled(60);
  options.json_schema = R"({"enum": ["cat", "dog"]})";
  const std::string text =
      mobilevlm_answer_text(Ask(session.get(), PatternPicture(2).get(), "What?", options).get());
  EXPECT_TRUE(text == "\"cat\"" || text == "\"dog\"") << text;

  options.json_schema = "{";
  CError error;
  EXPECT_EQ(mobilevlm_session_ask(session.get(), nullptr, 0, "What?", &options, error.out()), nullptr);
  EXPECT_THAT(error.message(), HasSubstr("schema"));
}

TEST(C, TellsTheProbabilityOfEachTokenAndOfTheLikeliest) {
  const Owned<mobilevlm_model> model = LoadNano();
  const Owned<mobilevlm_session> session = Start(model.get());
  mobilevlm_ask_options options = MOBILEVLM_ASK_OPTIONS_INIT;  // greedy: the token is the likeliest one
  options.max_tokens = 5;
  options.logprobs = 1;
  options.top_logprobs = 3;
  const Owned<mobilevlm_answer> answer = Ask(session.get(), nullptr, "What?", options);
  const std::vector<int> ids = Ids(answer.get());
  ASSERT_FALSE(ids.empty());
  mobilevlm_token token = MOBILEVLM_TOKEN_INIT;
  for (size_t i = 0; i < ids.size(); ++i) {
    ASSERT_EQ(mobilevlm_answer_token(answer.get(), i, MOBILEVLM_CHOSEN, &token, nullptr), 1);
    EXPECT_EQ(token.id, ids[i]);
    float before = token.logprob;
    for (int rank = 0; rank < 3; ++rank) {
      ASSERT_EQ(mobilevlm_answer_token(answer.get(), i, rank, &token, nullptr), 1);
      EXPECT_LE(token.logprob, before);
      EXPECT_TRUE(rank > 0 || token.id == ids[i]);
      before = token.logprob;
    }
  }
  CError error;
  EXPECT_EQ(mobilevlm_answer_token(answer.get(), 0, 3, &token, error.out()), 0);
  EXPECT_THAT(error.message(), HasSubstr("choice 3"));
  EXPECT_EQ(mobilevlm_answer_token(answer.get(), ids.size(), 0, &token, error.out()), 0);
  EXPECT_THAT(error.message(), HasSubstr("token"));
  const Owned<mobilevlm_answer> without = Ask(session.get(), nullptr, "What?", Sampled(3));
  EXPECT_EQ(mobilevlm_answer_token(without.get(), 0, MOBILEVLM_CHOSEN, &token, error.out()), 0);
  EXPECT_THAT(error.message(), HasSubstr("without logprobs"));
}

TEST(C, ASessionKeepsItsModelAlive) {
  Owned<mobilevlm_model> model = LoadNano();
  const Owned<mobilevlm_session> session = Start(model.get());
  model.reset();
  EXPECT_FALSE(Ids(Ask(session.get(), nullptr, "What?", Sampled(4)).get()).empty());
}

// --- what makes no sense ---

TEST(CError, EveryFunctionRefusesNullHandles) {
  CError error;
  mobilevlm_picture* const no_picture = nullptr;
  mobilevlm_stats stats = MOBILEVLM_STATS_INIT;
  mobilevlm_token token = MOBILEVLM_TOKEN_INIT;
  mobilevlm_model_info info = MOBILEVLM_MODEL_INFO_INIT;
  EXPECT_EQ(mobilevlm_model_load(nullptr, error.out()), nullptr);
  EXPECT_THAT(error.message(), HasSubstr("text"));
  EXPECT_EQ(mobilevlm_session_new(nullptr, nullptr, error.out()), nullptr);
  EXPECT_THAT(error.message(), HasSubstr("model is NULL"));
  EXPECT_EQ(mobilevlm_model_describe(nullptr, &info, error.out()), 0);
  EXPECT_THAT(error.message(), HasSubstr("model is NULL"));
  EXPECT_EQ(mobilevlm_picture_from_file(nullptr, error.out()), nullptr);
  EXPECT_THAT(error.message(), HasSubstr("NULL"));
  EXPECT_EQ(mobilevlm_picture_from_memory(nullptr, 3, nullptr, error.out()), nullptr);
  EXPECT_THAT(error.message(), HasSubstr("NULL"));
  EXPECT_EQ(mobilevlm_picture_from_rgb(1, 1, nullptr, error.out()), nullptr);
  EXPECT_THAT(error.message(), HasSubstr("NULL"));
  EXPECT_EQ(mobilevlm_picture_set_fit(nullptr, MOBILEVLM_FIT_PAD, error.out()), 0);
  EXPECT_THAT(error.message(), HasSubstr("picture is NULL"));
  EXPECT_EQ(mobilevlm_session_ask(nullptr, nullptr, 0, "x", nullptr, error.out()), nullptr);
  EXPECT_THAT(error.message(), HasSubstr("session is NULL"));
  EXPECT_EQ(mobilevlm_answer_stats(nullptr, &stats, error.out()), 0);
  EXPECT_THAT(error.message(), HasSubstr("answer is NULL"));
  EXPECT_EQ(mobilevlm_answer_token(nullptr, 0, MOBILEVLM_CHOSEN, &token, error.out()), 0);
  EXPECT_THAT(error.message(), HasSubstr("answer is NULL"));
  EXPECT_STREQ(mobilevlm_answer_text(nullptr), "");
  EXPECT_EQ(mobilevlm_answer_ids(nullptr, nullptr), nullptr);

  const Owned<mobilevlm_model> model = LoadNano();
  const Owned<mobilevlm_session> session = Start(model.get());
  EXPECT_EQ(mobilevlm_session_ask(session.get(), nullptr, 0, nullptr, nullptr, error.out()), nullptr);
  EXPECT_THAT(error.message(), HasSubstr("prompt is NULL"));
  EXPECT_EQ(mobilevlm_session_ask(session.get(), nullptr, 2, "x", nullptr, error.out()), nullptr);
  EXPECT_THAT(error.message(), HasSubstr("2 pictures"));
  EXPECT_EQ(mobilevlm_session_ask(session.get(), &no_picture, 1, "x", nullptr, error.out()), nullptr);
  EXPECT_THAT(error.message(), HasSubstr("picture 0 is NULL"));

  mobilevlm_model_free(nullptr);
  mobilevlm_session_free(nullptr);
  mobilevlm_session_reset(nullptr);
  mobilevlm_picture_free(nullptr);
  mobilevlm_answer_free(nullptr);
  mobilevlm_cancellation_request(nullptr);
  mobilevlm_cancellation_free(nullptr);
  mobilevlm_free(nullptr);
}

TEST(CError, AnOptionOutsideItsRangeIsNamed) {
  const Owned<mobilevlm_model> model = LoadNano();
  const Owned<mobilevlm_session> session = Start(model.get());
  const auto refusal = [&](auto change) {
    mobilevlm_ask_options options = MOBILEVLM_ASK_OPTIONS_INIT;
    change(options);
    CError error;
    EXPECT_EQ(mobilevlm_session_ask(session.get(), nullptr, 0, "x", &options, error.out()), nullptr);
    return error.message();
  };
  EXPECT_THAT(refusal([](auto& o) { o.max_tokens = -1; }), HasSubstr("-1"));
  EXPECT_THAT(refusal([](auto& o) { o.speculate = 17; }), HasSubstr("speculate"));
  EXPECT_THAT(refusal([](auto& o) { o.speculate = -2; }), HasSubstr("speculate"));
  EXPECT_THAT(refusal([](auto& o) { o.stop_count = 1; }), HasSubstr("stop"));
  EXPECT_THAT(refusal([](auto& o) { o.top_logprobs = 3; }), HasSubstr("logprobs is 0"));
  EXPECT_THAT(refusal([](auto& o) { o.logprobs = 1, o.top_logprobs = 21; }), HasSubstr("21"));
  EXPECT_THAT(refusal([](auto& o) { o.struct_size = 0; }), HasSubstr("_INIT"));

  mobilevlm_load_options load = MOBILEVLM_LOAD_OPTIONS_INIT;
  load.text = kText.c_str();
  load.mmproj = kMmproj.c_str();
  load.kv = 7;
  CError error;
  EXPECT_EQ(mobilevlm_model_load(&load, error.out()), nullptr);
  EXPECT_THAT(error.message(), HasSubstr("kv"));
  mobilevlm_session_options options = MOBILEVLM_SESSION_OPTIONS_INIT;
  options.chat_template = 9;
  EXPECT_EQ(mobilevlm_session_new(model.get(), &options, error.out()), nullptr);
  EXPECT_THAT(error.message(), HasSubstr("chat_template"));
  EXPECT_EQ(mobilevlm_picture_from_rgb(1 << 20, 1 << 20, Pattern(1).data(), error.out()), nullptr);
  EXPECT_THAT(error.message(), HasSubstr("1048576 x 1048576"));
  EXPECT_EQ(mobilevlm_picture_from_rgb(-3, 5, Pattern(1).data(), error.out()), nullptr);
  EXPECT_THAT(error.message(), HasSubstr("-3 x 5"));
}

TEST(CError, ABadFileIsOneLineAndLeavesTheSessionAsItWas) {
  mobilevlm_load_options load = MOBILEVLM_LOAD_OPTIONS_INIT;
  load.text = "/nowhere/text.gguf";
  load.mmproj = kMmproj.c_str();
  CError error;
  EXPECT_EQ(mobilevlm_model_load(&load, error.out()), nullptr);
  EXPECT_THAT(error.message(), HasSubstr("/nowhere/text.gguf"));
  EXPECT_EQ(mobilevlm_model_load(&load, nullptr), nullptr) << "without a place for the error";

  const Owned<mobilevlm_model> model = LoadNano();
  const Owned<mobilevlm_session> session = Start(model.get()), fresh = Start(model.get());
  const Owned<mobilevlm_picture> broken(mobilevlm_picture_from_memory("GIF89a", 6, "cat.gif", nullptr));
  const mobilevlm_picture* pictures[] = {broken.get()};
  EXPECT_EQ(mobilevlm_session_ask(session.get(), pictures, 1, "What?", nullptr, error.out()), nullptr);
  EXPECT_THAT(error.message(), HasSubstr("cat.gif"));
  EXPECT_EQ(Ids(Ask(session.get(), nullptr, "What?", Sampled(6)).get()),
            Ids(Ask(fresh.get(), nullptr, "What?", Sampled(6)).get()));

  const Owned<mobilevlm_picture> large = PatternPicture(1);
  ASSERT_EQ(mobilevlm_picture_set_max_pixels(large.get(), 0, error.out()), 0);
  EXPECT_THAT(error.message(), HasSubstr("max_pixels"));
}

// --- structs of another age ---

struct Newer {
  mobilevlm_ask_options known;
  uint64_t unknown;
};

TEST(Structs, AnOlderProgramsMembersAreReadAndTheRestIsDefault) {
  mobilevlm_ask_options options = Sampled();
  options.struct_size = offsetof(mobilevlm_ask_options, top_p);  // as if the struct had ended there
  const auto own = ReadStruct(&options, "ask options");
  ASSERT_TRUE(own);
  EXPECT_EQ(own->max_tokens, options.max_tokens);
  EXPECT_EQ(own->temperature, options.temperature);
  EXPECT_EQ(own->top_p, 0);
  EXPECT_EQ(own->seed, 0u);
}

TEST(Structs, ANewerProgramMayNotSetWhatThisLibraryLacks) {
  Newer newer{Sampled(), 0};
  newer.known.struct_size = sizeof(newer);
  EXPECT_TRUE(ReadStruct(&newer.known, "ask options"));
  newer.unknown = 1;
  const auto refused = ReadStruct(&newer.known, "ask options");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("ask options"));
}

TEST(Structs, OnlyWhatTheCallerHasIsFilled) {
  mobilevlm_stats own = MOBILEVLM_STATS_INIT;
  own.image_ms = 1;
  own.prompt_ms = 2;
  own.generate_ms = 3;
  mobilevlm_stats older = MOBILEVLM_STATS_INIT;
  older.struct_size = offsetof(mobilevlm_stats, prompt_ms);
  older.prompt_ms = -1;
  ASSERT_TRUE(WriteStruct(own, &older, "stats"));
  EXPECT_EQ(older.image_ms, 1);
  EXPECT_EQ(older.prompt_ms, -1) << "beyond the caller's struct";
  EXPECT_EQ(older.struct_size, offsetof(mobilevlm_stats, prompt_ms));

  struct {
    mobilevlm_stats known;
    uint64_t unknown;
  } newer{MOBILEVLM_STATS_INIT, 77};
  newer.known.struct_size = sizeof(newer);
  ASSERT_TRUE(WriteStruct(own, &newer.known, "stats"));
  EXPECT_EQ(newer.known.generate_ms, 3);
  EXPECT_EQ(newer.unknown, 0u);
}

}  // namespace
}  // namespace mobilevlm::capi
