// Several processes on one machine: the same losses as one, lost processes, resume by another number of them.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "job.h"

namespace mobilevlm::processes_test {
namespace {

constexpr double kTolerance = 1e-5;

void RunTogether(int n, const std::string& directory, const std::string& stage, int steps,
                 const std::vector<std::string>& flags = {}) {
  const Directory logs;
  Job job(logs);
  std::vector<std::string> command = QuickMini(directory, stage, steps);
  command.insert(command.end(), flags.begin(), flags.end());
  job.StartRanks(n, FreeMaster("127.0.0.1"), command);
  for (size_t rank = 0; rank < job.size(); ++rank) {
    const Ended ended = job.Wait(rank);
    EXPECT_EQ(ended.code, 0) << "rank " << rank << ": " << ended.output;
  }
}

// One process takes both micro-batches of a step one after the other, two take one each.
TEST(Processes, TwoHaveTheLossesOfOneThatAccumulates) {
  const Directory one, two, replicated;
  RunAlone(one.path(), "language", kSteps);
  const auto alone = ReadLog(one.path(), "language");
  ASSERT_EQ(alone.size(), static_cast<size_t>(kSteps));
  EXPECT_LT(alone.back()["loss"].get<double>(), alone.front()["loss"].get<double>());
  RunTogether(2, two.path(), "language", kSteps);
  ExpectSameLosses(alone, ReadLog(two.path(), "language"), kTolerance);
  EXPECT_EQ(alone.back()["validation"], ReadLog(two.path(), "language").back()["validation"]);
  RunTogether(2, replicated.path(), "language", kSteps, {"--shard-optimizer", "off"});
  ExpectSameLosses(alone, ReadLog(replicated.path(), "language"), kTolerance);
}

// The average per rank is another one, and the same for one process and for two. The tower too is shared.
TEST(Processes, AverageByRank) {
  const Directory token, one, two;
  RunAlone(token.path(), "language", 4);
  RunAlone(one.path(), "language", 4, {"--loss-average", "rank"});
  RunTogether(2, two.path(), "language", 4, {"--loss-average", "rank"});
  const auto by_rank = ReadLog(one.path(), "language");
  ExpectSameLosses(by_rank, ReadLog(two.path(), "language"), kTolerance);
  EXPECT_GT(
      std::abs(by_rank[0]["loss"].get<double>() - ReadLog(token.path(), "language")[0]["loss"].get<double>()),
      10 * kTolerance);
}

// A decoder with bfloat16 weights, from the official layout: gradients are exchanged in float32, weights as
// bytes. Rounding the weights after sums of another order moves the later losses.
TEST(Processes, NarrowWeights) {
  const Directory annotations;
  const std::string golden = MOBILEVLM_SOURCE_DIR "/tests/golden";
  {
    std::ofstream file(annotations.path() + "/a.json");
    for (int i = 0; i < 8; ++i) {
      file << fmt::format(R"({}{{"id": "{}", "image": "image_336.png", "conversations": [)"
                          R"({{"from": "human", "value": "<image>\nWhich number?"}}, )"
                          R"({{"from": "gpt", "value": "Number {}."}}]}})",
                          i == 0 ? "[" : ",\n", i, i);
    }
    file << "]\n";
  }
  const auto run = [&](int processes, const std::string& sharing) {
    const Directory logs, out;
    std::vector<std::string> command{MOBILEVLM_EXECUTABLE, "run", "multitask"};
    for (const std::string& set :
         {"model.start=" + golden + "/nano-ldpv2/hf", "data.annotations=" + annotations.path() + "/a.json",
          "data.images=" + golden, std::string("model.weights=bfloat16"), std::string("schedule.steps=4"),
          std::string("schedule.batch=4"), std::string("schedule.micro_batch=2"),
          std::string("run.log_every=1")}) {
      command.insert(command.end(), {"--set", set});
    }
    command.insert(command.end(), {"--threads", "1", "--out", out.path(), "--shard-optimizer", sharing});
    Job job(logs);
    if (processes == 1) job.Start(command, {});
    if (processes > 1) job.StartRanks(processes, FreeMaster("127.0.0.1"), command);
    for (size_t rank = 0; rank < job.size(); ++rank) {
      const Ended ended = job.Wait(rank);
      EXPECT_EQ(ended.code, 0) << "rank " << rank << ": " << ended.output;
    }
    return ReadLog(out.path(), "multitask");
  };
  const auto one = run(1, "on"), sharded = run(2, "on"), replicated = run(2, "off");
  ASSERT_EQ(one.size(), 4u);
  ExpectSameLosses(sharded, replicated, 0);
  ExpectSameLosses(one, sharded, 0.02);
}

TEST(Processes, EveryStage) {
  const Directory one, two;
  for (const std::string stage : {"tower", "language", "align", "multitask"}) {
    RunAlone(one.path(), stage, 3);
    RunTogether(3, two.path(), stage, 3);  // two micro-batches: rank 2 has none
    ExpectSameLosses(ReadLog(one.path(), stage), ReadLog(two.path(), stage), 1e-4);
  }
}

// Stopped by a signal to one of three processes, continued by two, then by one: as if never stopped.
TEST(Processes, ResumeByAnotherNumber) {
  const Directory whole, parts;
  constexpr int kLong = 100;
  // Questions and scenes of its own: how fast rounding grows depends on them, and the shipped ones change.
  const std::vector<std::string> data{"--set",
                                      "mini.kind_weights={ name = 2.0, caption = 0.5, colour = 1.5, count = "
                                      "5.0, fact = 6.0, chart = 0.5, choice = 0.7 }",
                                      "--set", "mini.scene_shares={ count = 0.3, fact = 0.25 }"};
  RunAlone(whole.path(), "language", kLong, data);
  for (const int n : {3, 2}) {
    const Directory logs;
    Job job(logs);
    std::vector<std::string> command = QuickMini(parts.path(), "language", kLong);
    command.insert(command.end(), data.begin(), data.end());
    job.StartRanks(n, FreeMaster("127.0.0.1"), command);
    ASSERT_TRUE(job.Says(0, n == 3 ? "step 3/" : "step 20/", 60));
    job.Signal(static_cast<size_t>(n - 1), SIGTERM);
    for (size_t rank = 0; rank < job.size(); ++rank) {
      const Ended ended = job.Wait(rank);
      ASSERT_EQ(ended.code, 0) << ended.output;
    }
    ASSERT_LT(ReadLog(parts.path(), "language").size(), static_cast<size_t>(kLong))
        << "finished before the signal";
  }
  RunAlone(parts.path(), "language", kLong, data);
  auto long_ago = ReadLog(whole.path(), "language"), continued = ReadLog(parts.path(), "language");
  ASSERT_EQ(continued.size(), static_cast<size_t>(kLong));
  // Sums in another order differ in their last bits, and steps amplify that.
  ExpectSameLosses(long_ago, continued, 0.05);
  constexpr size_t kComparable = 60;
  long_ago.resize(kComparable);
  continued.resize(kComparable);
  ExpectSameLosses(long_ago, continued, 1e-4);
}

class LostProcess : public testing::TestWithParam<std::pair<size_t, int>> {};

// Killed or frozen: every other process ends with a message that names it.
TEST_P(LostProcess, EndsTheJob) {
  const auto [victim, signal] = GetParam();
  const Directory run, logs;
  Job job(logs);
  std::vector<std::string> command = QuickMini(run.path(), "language", 100000);
  command.insert(command.end(), {"--peer-timeout", "5"});
  job.StartRanks(3, FreeMaster("127.0.0.1"), command);
  ASSERT_TRUE(job.Says(0, "step 5/", 60));
  job.Signal(victim, signal);
  const auto start = std::chrono::steady_clock::now();
  for (size_t rank = 0; rank < 3; ++rank) {
    if (rank == victim) continue;
    const Ended ended = job.Wait(rank);
    EXPECT_EQ(ended.code, 2) << ended.output;
    EXPECT_NE(ended.output.find(fmt::format("process {}", victim)), std::string::npos) << ended.output;
    EXPECT_NE(ended.output.find("is lost"), std::string::npos) << ended.output;
    EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 30.0);
  }
}

INSTANTIATE_TEST_SUITE_P(All, LostProcess,
                         testing::Values(std::pair{size_t{1}, SIGKILL}, std::pair{size_t{2}, SIGSTOP},
                                         std::pair{size_t{0}, SIGKILL}, std::pair{size_t{0}, SIGSTOP}));

// What a process gets that writes to one that has just died: it may not end without a word.
TEST(Processes, ABrokenPipeEndsNobody) {
  const Directory run, logs;
  Job job(logs);
  job.StartRanks(2, FreeMaster("127.0.0.1"), QuickMini(run.path(), "language", 100000));
  ASSERT_TRUE(job.Says(0, "step 2/", 60));
  job.Signal(0, SIGPIPE);
  job.Signal(1, SIGPIPE);
  ASSERT_TRUE(job.Says(0, "step 30/", 60));
  job.Signal(0, SIGINT);
  job.Signal(1, SIGINT);
  EXPECT_EQ(job.Wait(0).code, 0);
  EXPECT_EQ(job.Wait(1).code, 0);
}

// An error of one process is the others' too, in its words.
TEST(Processes, AnErrorOfOneEndsAll) {
  const Directory good, logs;
  Job job(logs);
  const std::string master = FreeMaster("127.0.0.1");
  const std::string port = master.substr(master.rfind(':') + 1);
  const auto start = [&](int rank, const std::string& directory) {
    job.Start(QuickMini(directory, "language", 5),
              {fmt::format("RANK={}", rank), "WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1", "MASTER_PORT=" + port});
  };
  start(0, good.path());
  start(1, "/proc/nowhere");
  EXPECT_EQ(job.Wait(1).code, 2);
  const Ended other = job.Wait(0);
  EXPECT_EQ(other.code, 2);
  EXPECT_NE(other.output.find("process 1 of 2 ended: "), std::string::npos) << other.output;
}

TEST(Processes, ImpossibleEnvironments) {
  const Directory run, logs;
  Job job(logs);
  const auto refusal = [&](const std::vector<std::string>& environment) {
    const Ended ended = job.Wait(job.Start(QuickMini(run.path(), "language", 1), environment));
    EXPECT_EQ(ended.code, 2);
    return ended.output;
  };
  EXPECT_NE(refusal({"RANK=0"}).find("WORLD_SIZE is not set"), std::string::npos);
  EXPECT_NE(refusal({"RANK=2", "WORLD_SIZE=2"}).find("RANK: wanted a whole number from 0 to 1, found '2'"),
            std::string::npos);
  EXPECT_NE(refusal({"RANK=0", "WORLD_SIZE=2"}).find("MASTER_ADDR is not set"), std::string::npos);
  EXPECT_NE(refusal({"RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1", "MASTER_PORT=x"}).find("MASTER_PORT"),
            std::string::npos);
}

}  // namespace
}  // namespace mobilevlm::processes_test
