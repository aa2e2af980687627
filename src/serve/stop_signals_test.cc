// The signals that stop a server, in this process.
#include "serve/stop_signals.h"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "serve/raw_client.h"
#include "serve/test_support.h"

namespace mobilevlm::serve {
namespace {

// As while a model is loaded, which takes long.
void SignalWithoutAServer(int number) {
  const StopSignals signals;
  ::kill(::getpid(), number);
  std::this_thread::sleep_for(std::chrono::seconds(20));
}

TEST(StopSignalsDeathTest, WithoutAServerTheyEndTheProcess) {
  EXPECT_EXIT(SignalWithoutAServer(SIGINT), ::testing::KilledBySignal(SIGINT), "");
  EXPECT_EXIT(SignalWithoutAServer(SIGTERM), ::testing::KilledBySignal(SIGTERM), "");
}

TEST(StopSignals, TheFirstOneDrains) {
  StopSignals signals;
  const auto server = Server::Create(NanoModel(), Quiet());
  ASSERT_TRUE(server);
  signals.Watch(**server);
  std::thread client([&] {
    WaitUntilReady((*server)->port());
    ::kill(::getpid(), SIGTERM);
  });
  EXPECT_TRUE(signals.Run());
  client.join();
}

TEST(StopSignals, NobodyWaitsForOneWhenTheServerHasEnded) {
  StopSignals signals;
  const auto server = Server::Create(NanoModel(), Quiet());
  ASSERT_TRUE(server);
  signals.Watch(**server);
  std::thread client([&] {
    WaitUntilReady((*server)->port());
    BreakListening((*server)->port());
  });
  const Status status = signals.Run();
  client.join();
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("no more connections"));
}

TEST(StopSignals, NobodyWaitsForOneWhenNoServerCame) { const StopSignals signals; }

}  // namespace
}  // namespace mobilevlm::serve
