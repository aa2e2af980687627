// The thread contract of mobilevlm_c.h (and of mobilevlm.h below it), all at once; the tsan preset runs this
// under ThreadSanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "capi/test_support.h"

namespace mobilevlm::capi {
namespace {

mobilevlm_ask_options Sampled(int seed, int tokens) {
  mobilevlm_ask_options options = MOBILEVLM_ASK_OPTIONS_INIT;
  options.max_tokens = tokens;
  options.temperature = 0.8f;
  options.seed = static_cast<uint64_t>(seed);
  return options;
}

std::vector<int> TwoTurns(mobilevlm_session* session, const mobilevlm_picture* picture, int seed) {
  std::vector<int> ids = Ids(Ask(session, picture, "What is this?", Sampled(seed, 6)).get());
  const std::vector<int> more = Ids(Ask(session, nullptr, "And where?", Sampled(seed, 6)).get());
  ids.insert(ids.end(), more.begin(), more.end());
  return ids;
}

// One model with a pool of two threads; sessions in threads of their own, a thread that describes, one that
// loads and frees another model, one that makes and frees sessions. Everyone gets what he would get alone.
TEST(Threads, SessionsOfOneModelAnswerAsAlone) {
  constexpr int kSessions = 3;
  const Owned<mobilevlm_model> model = LoadNano(2);
  std::vector<std::vector<int>> alone(kSessions), together(kSessions);
  for (int i = 0; i < kSessions; ++i) {
    alone[static_cast<size_t>(i)] = TwoTurns(Start(model.get()).get(), PatternPicture(i + 1).get(), i);
    ASSERT_FALSE(alone[static_cast<size_t>(i)].empty());
  }

  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < kSessions; ++i) {
    threads.emplace_back([&, i] {
      const Owned<mobilevlm_session> session = Start(model.get());
      together[static_cast<size_t>(i)] = TwoTurns(session.get(), PatternPicture(i + 1).get(), i);
    });
  }
  std::thread describer([&] {
    while (!done) {
      mobilevlm_model_info info = MOBILEVLM_MODEL_INFO_INIT;
      ASSERT_EQ(mobilevlm_model_describe(model.get(), &info, nullptr), 1);
      ASSERT_EQ(info.visual_tokens, 144);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  std::thread loader([&] {
    const Owned<mobilevlm_model> other = LoadNano(1);
    EXPECT_FALSE(Ids(Ask(Start(other.get()).get(), nullptr, "What?", Sampled(1, 3)).get()).empty());
  });
  std::thread starter([&] {
    for (int i = 0; i < 4; ++i) Start(model.get());
  });
  for (std::thread& thread : threads) thread.join();
  loader.join();
  starter.join();
  done = true;
  describer.join();
  EXPECT_EQ(together, alone);
}

TEST(Threads, AnotherThreadCancels) {
  const Owned<mobilevlm_model> model = LoadNano(1);
  const Owned<mobilevlm_session> session = Start(model.get());
  const Owned<mobilevlm_cancellation> cancellation(mobilevlm_cancellation_new());
  std::atomic<bool> begun{false};
  mobilevlm_ask_options options = Sampled(3, 1900);
  options.cancellation = cancellation.get();
  options.user_data = &begun;
  options.on_text = [](void* user_data, const char*, size_t) {
    static_cast<std::atomic<bool>*>(user_data)->store(true);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // so that the answer outlasts the canceller
  };
  std::thread canceller([&] {
    while (!begun) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    mobilevlm_cancellation_request(cancellation.get());
  });
  const Owned<mobilevlm_answer> answer = Ask(session.get(), nullptr, "What?", options);
  canceller.join();
  EXPECT_EQ(mobilevlm_answer_stop_reason(answer.get()), MOBILEVLM_STOP_CANCELLED);
}

// A session may wander from thread to thread, one at a time; a picture may be asked about by several
// sessions, one after the other; an answer is read by many.
TEST(Threads, HandlesMayBeHandedOn) {
  const Owned<mobilevlm_model> model = LoadNano(2);
  const Owned<mobilevlm_picture> picture = PatternPicture(5);
  Owned<mobilevlm_session> session;
  Owned<mobilevlm_answer> answer;
  std::thread([&] { session = Start(model.get()); }).join();
  std::thread([&] { answer = Ask(session.get(), picture.get(), "What?", Sampled(2, 5)); }).join();
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      mobilevlm_stats stats = MOBILEVLM_STATS_INIT;
      EXPECT_EQ(mobilevlm_answer_stats(answer.get(), &stats, nullptr), 1);
      EXPECT_EQ(Ids(answer.get()).size(), 5u);
    });
  }
  for (std::thread& reader : readers) reader.join();
  std::thread([&] { session.reset(); }).join();
}

}  // namespace
}  // namespace mobilevlm::capi
