// How a server ends when clients, or the system, do not play along.
#include <chrono>
#include <string>
#include <thread>

#include "serve/raw_client.h"
#include "serve/test_support.h"

namespace mobilevlm::serve {
namespace {

TEST(ServerEnd, DrainCutsOffWhoReadsTooSlowly) {
  ServerOptions options = Quiet();
  options.connection.write = std::chrono::seconds(60);
  options.drain_seconds = 0;
  RunningServer server(options);
  RawClient client(server.port());
  std::string requests;  // for more than the system holds for us
  for (int i = 0; i < 1500; ++i) requests += "GET /style.css HTTP/1.1\r\nHost: x\r\n\r\n";
  client.Send(requests);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const auto begin = std::chrono::steady_clock::now();
  server.Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

TEST(ServerEnd, AClientThatGoesOnAskingDoesNotKeepItAlive) {
  RunningServer server;
  std::thread asking([port = server.port()] {
    RawClient client(port);
    while (client.Send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n") && !client.ended()) client.Read("\"ok\"}");
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const auto begin = std::chrono::steady_clock::now();
  server.Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(15));
  asking.join();
}

TEST(ServerEnd, RunSaysThatListeningEndedByItself) {
  RunningServer server;
  httplib::Client idle = server.Client();
  idle.set_keep_alive(true);
  EXPECT_EQ(idle.Get("/health")->status, 200);
  const auto begin = std::chrono::steady_clock::now();
  BreakListening(server.port());
  const Status status = server.WaitForEnd();
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("no more connections"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin,
            std::chrono::seconds(30));  // an idle connection lasts 60
  server.server().Drain();              // there is nothing left to do
}

}  // namespace
}  // namespace mobilevlm::serve
