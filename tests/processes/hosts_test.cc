// Two machines: network namespaces, each with a network of its own, joined by a virtual cable. Needs root and
// `ip`; where namespaces cannot be made the tests are skipped and say why.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

#include "job.h"

namespace mobilevlm::processes_test {
namespace {

bool Shell(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }

class Hosts : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "not root: network namespaces cannot be made";
    if (!Shell("command -v ip")) GTEST_SKIP() << "no `ip` here (package iproute2)";
    if (!Shell("ip netns add " + a_)) GTEST_SKIP() << "ip netns add failed: no network namespaces here";
    const bool cabled = Shell("ip netns add " + b_) &&
                        Shell("ip -n " + a_ + " link add cable type veth peer name cable netns " + b_) &&
                        Shell("ip -n " + a_ + " addr add 10.99.0.1/24 dev cable") &&
                        Shell("ip -n " + b_ + " addr add 10.99.0.2/24 dev cable") &&
                        Shell("ip -n " + a_ + " link set cable up") &&
                        Shell("ip -n " + b_ + " link set cable up") &&
                        Shell("ip -n " + a_ + " link set lo up") && Shell("ip -n " + b_ + " link set lo up");
    if (!cabled) GTEST_SKIP() << "no virtual cable between two namespaces here";
  }
  void TearDown() override {
    Shell("ip netns del " + a_);
    Shell("ip netns del " + b_);
  }
  std::vector<std::vector<std::string>> InHosts() const {
    return {{"ip", "netns", "exec", a_}, {"ip", "netns", "exec", b_}};
  }

  const std::string a_ = fmt::format("mvlm-{}-a", ::getpid()), b_ = fmt::format("mvlm-{}-b", ::getpid());
};

TEST_F(Hosts, TrainAsOneProcessDoes) {
  const Directory one, two, logs;
  RunAlone(one.path(), "language", 20);
  Job job(logs);
  job.StartRanks(2, "10.99.0.1:29500", QuickMini(two.path(), "language", 20), InHosts());
  for (size_t rank = 0; rank < 2; ++rank) {
    const Ended ended = job.Wait(rank);
    ASSERT_EQ(ended.code, 0) << ended.output;
  }
  ExpectSameLosses(ReadLog(one.path(), "language"), ReadLog(two.path(), "language"), 1e-5);
}

// Nobody closes a connection when a cable is pulled: only silence tells.
TEST_F(Hosts, APulledCableEndsBoth) {
  const Directory run, logs;
  Job job(logs);
  std::vector<std::string> command = QuickMini(run.path(), "language", 100000);
  command.insert(command.end(), {"--peer-timeout", "5"});
  job.StartRanks(2, "10.99.0.1:29500", command, InHosts());
  ASSERT_TRUE(job.Says(0, "step 5/", 60));
  ASSERT_TRUE(Shell("ip -n " + a_ + " link set cable down"));
  const auto start = std::chrono::steady_clock::now();
  const Ended first = job.Wait(0), second = job.Wait(1);
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 30.0);
  EXPECT_EQ(first.code, 2);
  EXPECT_NE(first.output.find("process 1 of 2 is lost"), std::string::npos) << first.output;
  EXPECT_EQ(second.code, 2);
  EXPECT_NE(second.output.find("process 0 at 10.99.0.1:29500 is lost"), std::string::npos) << second.output;
}

}  // namespace
}  // namespace mobilevlm::processes_test
