// The engine through its public API, and the parts of it that no golden file covers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/read_file.h"
#include "engine/memory.h"
#include "engine/picture.h"
#include "engine/runtime.h"
#include "engine/test_models.h"
#include "engine/trace.h"
#include "mobilevlm/mobilevlm.h"
#include "vocab/read_vocab.h"

namespace mobilevlm {
namespace {

using ::testing::HasSubstr;

Session MustStart(const Model& model, const SessionOptions& options = {}) {
  Result<Session> session = model.NewSession(options);
  EXPECT_TRUE(session) << session.error().message;
  return std::move(*session);
}

Answer MustAsk(Session& session, const std::vector<Picture>& pictures, std::string_view prompt,
               const GenerateOptions& options = {.max_tokens = 8}) {
  Result<Answer> answer = session.Ask(pictures, prompt, options);
  EXPECT_TRUE(answer) << answer.error().message;
  return answer.value_or(Answer());
}

TEST(Model, DescribesWhatTheFilesSay) {
  const Model model = MustLoad(Nano("nano80-ldp"));
  const ModelInfo& info = model.Describe();
  EXPECT_EQ(info.projector, "ldp");
  EXPECT_EQ(info.image_size, 336);
  EXPECT_EQ(info.visual_tokens, 144);
  EXPECT_EQ(info.vision_layers, 2);
  EXPECT_EQ(info.layers, 2);
  EXPECT_EQ(info.hidden, 160);
  EXPECT_EQ(info.heads, 2);
  EXPECT_EQ(info.vocab, 768);
  EXPECT_EQ(info.context, 2048);
  EXPECT_EQ(info.threads, 1);
  // 2 x 2 layers x 2048 positions x 160 x 2 bytes
  EXPECT_EQ(info.memory.kv_cache, 2u * 2 * 2048 * 160 * 2);
}

TEST(Model, TheMlpKeepsEveryPatchAndItsMemoryIsCounted) {
  const ModelInfo mlp = MustLoad(Nano("nano-mlp")).Describe(), ldpv2 = MustLoad(Nano()).Describe();
  EXPECT_EQ(mlp.projector, "mlp");
  EXPECT_EQ(mlp.visual_tokens, 576);
  // 576 tokens instead of 144, one map of 576 between the layers instead of two.
  EXPECT_EQ(mlp.memory.activations + (2 - 1) * 576 * 64 * 4, ldpv2.memory.activations + (576 - 144) * 64 * 4);
}

TEST(Model, CacheMemoryFollowsContextAndType) {
  LoadOptions options = Nano();
  options.context = 256;
  options.kv = KvType::kF32;
  EXPECT_EQ(MustLoad(options).Describe().memory.kv_cache, 2u * 2 * 256 * 64 * 4);
  options.kv = KvType::kQ8_0;  // 34 bytes per 32 elements
  EXPECT_EQ(MustLoad(options).Describe().memory.kv_cache, 2u * 2 * 256 * 64 / 32 * 34);
}

TEST(Model, RefusesWhatDoesNotFitIntoMemory) {
  LoadOptions options = Nano();
  const uint64_t need = MustLoad(options).Describe().memory.total();
  options.memory_limit = need;
  EXPECT_TRUE(Model::Load(options));
  options.memory_limit = need - 1;
  const Result<Model> model = Model::Load(options);
  ASSERT_FALSE(model);
  EXPECT_THAT(model.error().message, HasSubstr("text.gguf: needs "));
  EXPECT_THAT(model.error().message, HasSubstr("is available"));
}

TEST(Model, RefusesBadOptions) {
  LoadOptions options = Nano();
  options.context = -1;
  EXPECT_FALSE(Model::Load(options));
  options = Nano();
  options.context = 2049;
  EXPECT_FALSE(Model::Load(options));
  options = Nano();
  options.threads = -1;
  EXPECT_FALSE(Model::Load(options));
  options = Nano();
  options.isa = "no-such-isa";
  EXPECT_FALSE(Model::Load(options));
}

TEST(Session, ReusesPicturesAndPrefixesWithoutChangingTheAnswer) {
  const Model model = MustLoad(Nano());
  Session session = MustStart(model);
  const Picture picture = Pattern(1);
  const Answer first = MustAsk(session, {picture}, "What is this?");
  EXPECT_EQ(first.stats.images, 1);
  EXPECT_EQ(first.stats.reused_positions, 0);
  EXPECT_EQ(first.ids.size(), 8u);

  session.Reset();
  const Answer again = MustAsk(session, {picture}, "What is this?");
  EXPECT_EQ(again.stats.images, 0);
  EXPECT_EQ(again.stats.reused_positions, again.stats.prompt_positions - 1);
  EXPECT_EQ(again.ids, first.ids);

  session.Reset();
  const Answer other = MustAsk(session, {picture}, "Where is it?");
  EXPECT_GT(other.stats.reused_positions, 144);
  Session fresh = MustStart(model);
  EXPECT_EQ(MustAsk(fresh, {picture}, "Where is it?").ids, other.ids);
}

// The same pixels in other bytes, or the same bytes under another name, are the same picture.
TEST(Session, RecognisesPicturesByContent) {
  const Model model = MustLoad(Nano());
  Session session = MustStart(model);
  const std::string file = kGolden + "image_336.png";
  const Answer first = MustAsk(session, {Picture::FromFile(file)}, "What is this?");
  EXPECT_EQ(first.stats.images, 1);

  const std::string bytes = ReadFile(file, 1 << 24).value();
  const Image image = engine::LoadPicture(Picture::FromFile(file)).value();
  for (const Picture& same :
       {Picture::FromBytes(bytes, "other.png"), Picture::FromRgb(image.width, image.height, image.rgb)}) {
    session.Reset();
    const Answer again = MustAsk(session, {same}, "What is this?");
    EXPECT_EQ(again.stats.images, 0);
    EXPECT_EQ(again.stats.reused_positions, again.stats.prompt_positions - 1);
    EXPECT_EQ(again.ids, first.ids);
  }

  std::vector<uint8_t> changed = image.rgb;
  changed.back() ^= 1;
  session.Reset();
  const Answer other =
      MustAsk(session, {Picture::FromRgb(image.width, image.height, std::move(changed))}, "What is this?");
  EXPECT_EQ(other.stats.images, 1);
  EXPECT_LT(other.stats.reused_positions, 144);
}

TEST(Session, TheSamePictureTreatedOtherwiseIsAnother) {
  const Model model = MustLoad(Nano());
  Session session = MustStart(model);
  Picture picture = Picture::FromFile(kGolden + "preprocess/04_1280x720.jpg");
  EXPECT_EQ(MustAsk(session, {picture}, "What?").stats.images, 1);
  session.Reset();
  picture.fit = ImageFit::kCrop;
  EXPECT_EQ(MustAsk(session, {picture}, "What?").stats.images, 1);
}

TEST(Session, ForgetsThePictureUsedLongestAgo) {
  const Model model = MustLoad(Nano());
  Session session = MustStart(model);
  const auto images = [&](int seed) {
    session.Reset();
    return MustAsk(session, {Pattern(seed)}, "What?", {.max_tokens = 1}).stats.images;
  };
  for (int seed = 1; seed <= 8; ++seed) EXPECT_EQ(images(seed), 1);
  EXPECT_EQ(images(1), 0);
  EXPECT_EQ(images(9), 1);
  EXPECT_EQ(images(1), 0);  // was used since
  EXPECT_EQ(images(2), 1);
}

TEST(Session, TwoEqualPicturesInOneQuestionAreSeenOnce) {
  const Model model = MustLoad(Nano());
  Session session = MustStart(model);
  EXPECT_EQ(MustAsk(session, {Pattern(1), Pattern(1), Pattern(2)}, "Compare.").stats.images, 2);
}

TEST(Session, SeesThePicture) {
  const Model model = MustLoad(Nano());
  Session session = MustStart(model);
  const Answer one = MustAsk(session, {Pattern(1)}, "What is this?", {.max_tokens = 16});
  session.Reset();
  const Answer two = MustAsk(session, {Pattern(2)}, "What is this?", {.max_tokens = 16});
  EXPECT_EQ(two.stats.images, 1);
  EXPECT_NE(one.ids, two.ids);
}

TEST(Session, LaterTurnsContinueTheConversation) {
  const Model model = MustLoad(Nano());
  Session session = MustStart(model);
  const Answer first = MustAsk(session, {Pattern(1)}, "What is this?");
  ASSERT_FALSE(first.text.empty());
  const Answer second = MustAsk(session, {}, "And that?");
  EXPECT_GT(second.stats.prompt_positions, first.stats.prompt_positions);
  EXPECT_GT(second.stats.reused_positions, first.stats.prompt_positions - 3);
  EXPECT_EQ(second.stats.images, 0);
}

TEST(Session, AFailedAskChangesNothing) {
  const Model model = MustLoad(Nano());
  Session session = MustStart(model), twin = MustStart(model);
  const Answer first = MustAsk(session, {Pattern(1)}, "What is this?");
  MustAsk(twin, {Pattern(1)}, "What is this?");
  EXPECT_FALSE(session.Ask({Picture::FromFile("nowhere.png")}, "Broken?"));
  EXPECT_FALSE(session.Ask({}, "No <image> here"));
  EXPECT_FALSE(session.Ask({}, "x", {.max_tokens = 0}));
  EXPECT_FALSE(session.Ask({}, "x", {.temperature = -1.0f}));
  EXPECT_FALSE(session.Ask({Picture::FromRgb(4, 4, std::vector<uint8_t>(47))}, "Short?"));
  EXPECT_FALSE(session.Ask({Picture::FromRgb(0, 0, {})}, "Nothing?"));
  Picture large = Pattern(2);
  large.max_pixels = 336 * 336 - 1;
  EXPECT_FALSE(session.Ask({large}, "Large?"));
  EXPECT_FALSE(session.Ask({Picture::FromRgb(-1, -1, {1, 2, 3})}, "Negative?"));
  EXPECT_EQ(MustAsk(session, {}, "And that?").ids, MustAsk(twin, {}, "And that?").ids);
}

TEST(Session, CallbackPiecesMakeUpTheText) {
  const Model model = MustLoad(Nano());
  Session session = MustStart(model);
  std::string streamed;
  const auto answer = session.Ask({Pattern(3)}, "What?", {.max_tokens = 30, .temperature = 1.0f, .seed = 3},
                                  [&](std::string_view text) { streamed += text; });
  ASSERT_TRUE(answer);
  EXPECT_THAT(streamed, HasSubstr(answer->text));
  EXPECT_LE(streamed.size() - answer->text.size(), 4u);  // stripped white space only
}

TEST(Session, CancelEndsAtTheNextStep) {
  const Model model = MustLoad(Nano());
  Session session = MustStart(model);
  std::atomic<bool> cancel{true};
  const auto nothing = session.Ask({Pattern(1)}, "What?", {.cancel = &cancel});
  ASSERT_TRUE(nothing);
  EXPECT_EQ(nothing->stop, StopReason::kCancelled);
  EXPECT_TRUE(nothing->ids.empty());
  EXPECT_EQ(nothing->stats.images, 0) << "a picture is a step too";

  cancel = false;
  const auto some = session.Ask({Pattern(1)}, "What?", {.max_tokens = 500, .cancel = &cancel},
                                [&](std::string_view) { cancel = true; });
  ASSERT_TRUE(some);
  EXPECT_EQ(some->stop, StopReason::kCancelled);
  EXPECT_LT(some->ids.size(), 10u);
}

TEST(Session, StopsAtTheFullContextAndNotBeyond) {
  LoadOptions options = Nano();
  options.context = 64;
  const Model model = MustLoad(options);
  Session session = MustStart(model, {.system = "S"});
  const auto answer = session.Ask({}, "What?", {.max_tokens = 1000, .temperature = 0.0f});
  ASSERT_TRUE(answer) << answer.error().message;
  if (answer->stop == StopReason::kContextFull) {
    EXPECT_EQ(answer->stats.prompt_positions + static_cast<int>(answer->ids.size()), 65);
  } else {
    EXPECT_EQ(answer->stop, StopReason::kEos);
  }
}

TEST(Engine, TwoModelsAndTwoSessionsWorkSideBySide) {
  LoadOptions first = Nano("nano-ldpv2"), second = Nano("nano80-ldp");
  second.isa = "generic";
  const Model a = MustLoad(first), b = MustLoad(second);
  const auto ask = [](const Model& model) {
    Session session = MustStart(model);
    return MustAsk(session, {Pattern(4)}, "What is this?").ids;
  };
  const auto wanted_a = ask(a), wanted_b = ask(b);
  std::vector<std::vector<int>> found(4);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < found.size(); ++i) {
    threads.emplace_back([&, i] { found[i] = ask(i % 2 == 0 ? a : b); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(found[0], wanted_a);
  EXPECT_EQ(found[1], wanted_b);
  EXPECT_EQ(found[2], wanted_a);
  EXPECT_EQ(found[3], wanted_b);
}

TEST(TokenizerLoader, ReadsTheVocabularyOfATextModel) {
  const auto file = GgufFile::Open(kGolden + "nano-ldpv2/text.gguf");
  ASSERT_TRUE(file) << file.error().message;
  const auto tokenizer = LoadTokenizer(*file);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->size(), 768);
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("What is this?")), "What is this?");
}

TEST(TokenizerLoader, SaysThatAnMmprojHasNone) {
  const auto file = GgufFile::Open(kGolden + "nano-ldpv2/mmproj.gguf");
  ASSERT_TRUE(file);
  const auto tokenizer = LoadTokenizer(*file);
  ASSERT_FALSE(tokenizer);
  EXPECT_THAT(tokenizer.error().message, HasSubstr("no vocabulary"));
}

TEST(Trace, RefusesOutputsThatDoNotFitIntoMemory) {
  LoadOptions options = Nano();
  options.kv = KvType::kF32;
  const auto runtime = engine::Runtime::Load(options);
  ASSERT_TRUE(runtime) << runtime.error().message;
  engine::TraceInput input;
  input.picture = *engine::LoadPicture(Pattern(1));
  input.ids_before = {1, 2, 3};
  // Features, visual tokens, and logits of 3 ids and 144 visual tokens.
  const auto& model = (*runtime)->model();
  const uint64_t need =
      4 * (static_cast<uint64_t>(model.vision.patches() * model.vision.hidden) +
           static_cast<uint64_t>(model.projector.tokens() * model.projector.hidden) + (3 + 144) * 768);
  input.memory_limit = need;
  EXPECT_TRUE(engine::Trace(**runtime, input));
  input.memory_limit = need - 1;
  const auto refused = engine::Trace(**runtime, input);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("the trace of 147 positions needs"));
}

TEST(Memory, ReadsProcLines) {
  const std::string text = "MemTotal:  100 kB\nMemAvailable:\t 42 kB\nXMemFree: 7 kB\n";
  EXPECT_EQ(engine::ParseKilobyteLine(text, "MemAvailable:"), 42u * 1024);
  EXPECT_EQ(engine::ParseKilobyteLine(text, "MemTotal:"), 100u * 1024);
  EXPECT_EQ(engine::ParseKilobyteLine(text, "MemFree:"), 0u);
  EXPECT_EQ(engine::ParseKilobyteLine(text, "Swap:"), 0u);
  EXPECT_EQ(engine::ParseKilobyteLine("", "Swap:"), 0u);
}

TEST(Memory, KnowsWhatThisMachineHas) { EXPECT_GT(engine::AvailableMemory(), uint64_t{1} << 20); }

}  // namespace
}  // namespace mobilevlm
