// scripts/launch: several processes of one command, which end together.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cerrno>
#include <chrono>
#include <fstream>

#include "job.h"

namespace mobilevlm::processes_test {
namespace {

std::vector<std::string> Launch(int processes, const std::vector<std::string>& command) {
  std::vector<std::string> whole{MOBILEVLM_SOURCE_DIR "/scripts/launch", "--nproc-per-node",
                                 std::to_string(processes)};
  whole.insert(whole.end(), command.begin(), command.end());
  return whole;
}

// Processes that leave their ids in a directory.
class Launched : public testing::Test {
 protected:
  void TearDown() override {
    for (int rank = 0; HasFailure() && rank < 3; ++rank) {
      if (const pid_t pid = Pid(rank); pid > 0) ::kill(pid, SIGKILL);
    }
  }

  // Each runs `first`, shell code that sees its rank, then `command`, whose words the shell expands.
  std::vector<std::string> Ranks(int processes, const std::string& first,
                                 const std::vector<std::string>& command) const {
    const std::string script = fmt::format("echo $$ >\"{}/pid-$RANK\"\n{}\nexec \"{}\"", directory_.path(),
                                           first, fmt::join(command, "\" \""));
    return Launch(processes, {"sh", "-c", script});
  }
  // QuickMini without an end.
  std::vector<std::string> Endless() const { return QuickMini(run_.path(), "language", 100000); }

  pid_t Pid(int rank) const {
    pid_t pid = 0;
    std::ifstream(fmt::format("{}/pid-{}", directory_.path(), rank)) >> pid;
    return pid;  // 0 if it was never started
  }
  void ExpectGone(int processes) const {
    for (int rank = 0; rank < processes; ++rank) {
      ASSERT_GT(Pid(rank), 0);
      EXPECT_TRUE(::kill(Pid(rank), 0) == -1 && errno == ESRCH) << "process " << rank << " is still there";
    }
  }

  const Directory directory_, run_;
  Job job_{directory_};
};

TEST_F(Launched, TwoHaveTheLossesOfOneThatAccumulates) {
  const Directory one;
  RunAlone(one.path(), "language", kSteps);
  const Ended ended = job_.Wait(job_.Start(Launch(2, QuickMini(run_.path(), "language", kSteps)), {}));
  ASSERT_EQ(ended.code, 0) << ended.output;
  const auto together = ReadLog(run_.path(), "language");
  ExpectSameLosses(ReadLog(one.path(), "language"), together, 1e-5);
  for (const auto& line : together) EXPECT_TRUE(line.contains("exchange_share")) << line;  // of two processes
}

TEST_F(Launched, AnErrorOfOneEndsAllAndIsTheExitCode) {
  const std::string nowhere = fmt::format("out='{}'; [ $RANK = 0 ] || out=/proc/nowhere", run_.path());
  const Ended ended = job_.Wait(job_.Start(Ranks(2, nowhere, QuickMini("$out", "language", 100000)), {}));
  EXPECT_EQ(ended.code, 2);
  EXPECT_NE(ended.output.find("process 1 of 2 ended: "), std::string::npos) << ended.output;
  ExpectGone(2);
}

TEST_F(Launched, AKilledProcessEndsAll) {
  std::vector<std::string> command = Endless();
  command.insert(command.end(), {"--peer-timeout", "5"});
  job_.Start(Ranks(3, "", command), {});
  ASSERT_TRUE(job_.Says(0, "step 5/", 60));
  ASSERT_GT(Pid(2), 0);
  ASSERT_EQ(::kill(Pid(2), SIGKILL), 0);
  const Ended ended = job_.Wait(0);
  EXPECT_EQ(ended.code, 128 + SIGKILL);
  EXPECT_NE(ended.output.find("process 2 of 3 is lost"), std::string::npos) << ended.output;
  ExpectGone(3);
}

// A process that would never notice is ended, and one that notices is not waited for: what reads the output
// has its end long before LAUNCH_GRACE.
TEST_F(Launched, WhatDoesNotNoticeIsEnded) {
  job_.Start(Ranks(2, "[ $RANK = 0 ] || exit 7", {"sleep", "1000"}), {"LAUNCH_GRACE=1"});
  EXPECT_EQ(job_.Wait(0).code, 7);
  ExpectGone(2);

  std::vector<std::string> read{"bash", "-o", "pipefail", "-c", "\"$@\" | cat", "bash"};
  const auto launch = Ranks(2, "[ $RANK = 0 ] || exit 7", {"sleep", "1"});
  read.insert(read.end(), launch.begin(), launch.end());
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(job_.Wait(job_.Start(read, {"LAUNCH_GRACE=120"})).code, 7);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

TEST_F(Launched, CtrlCReachesEveryProcess) {
  job_.Start(Ranks(2, "", Endless()), {});
  ASSERT_TRUE(job_.Says(0, "step 5/", 60));
  job_.Signal(0, SIGINT);
  const Ended ended = job_.Wait(0);
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_NE(ended.output.find("stopped after step"), std::string::npos) << ended.output;
  ExpectGone(2);
}

}  // namespace
}  // namespace mobilevlm::processes_test
