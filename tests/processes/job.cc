#include "job.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/check.h"

namespace mobilevlm::processes_test {
namespace {

std::string Read(const std::string& path) {
  std::ifstream stream(path);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

}  // namespace

Directory::Directory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "mobilevlm-processes-XXXXXX").string();
  MVLM_CHECK(::mkdtemp(pattern.data()) != nullptr, "{}", pattern);
  path_ = pattern;
}
Directory::~Directory() { std::filesystem::remove_all(path_); }

Job::~Job() {
  for (Process& process : processes_) {
    if (process.waited) continue;
    ::kill(process.pid, SIGKILL);
    ::waitpid(process.pid, nullptr, 0);
  }
}

size_t Job::Start(const std::vector<std::string>& command, const std::vector<std::string>& environment) {
  const size_t number = processes_.size();
  const std::string log = fmt::format("{}/process-{}.log", logs_, number);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(fd, 1);
    ::dup2(fd, 2);
    for (const std::string& variable : environment) ::putenv(const_cast<char*>(variable.c_str()));
    std::vector<char*> argv;
    for (const std::string& argument : command) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  processes_.push_back({pid, log});
  return number;
}

void Job::StartRanks(int n, const std::string& master, const std::vector<std::string>& command,
                     const std::vector<std::vector<std::string>>& prefix) {
  const size_t colon = master.rfind(':');
  for (int rank = 0; rank < n; ++rank) {
    std::vector<std::string> whole;
    if (static_cast<size_t>(rank) < prefix.size()) whole = prefix[static_cast<size_t>(rank)];
    whole.insert(whole.end(), command.begin(), command.end());
    Start(whole, {fmt::format("RANK={}", rank), fmt::format("WORLD_SIZE={}", n),
                  "MASTER_ADDR=" + master.substr(0, colon), "MASTER_PORT=" + master.substr(colon + 1)});
  }
}

void Job::Signal(size_t number, int signal) const { ::kill(processes_[number].pid, signal); }

bool Job::Says(size_t number, const std::string& text, double seconds) const {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < end) {
    if (Read(processes_[number].log).find(text) != std::string::npos) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

Ended Job::Wait(size_t number) {
  Process& process = processes_[number];
  int status = 0;
  ::waitpid(process.pid, &status, 0);
  process.waited = true;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, Read(process.log)};
}

std::vector<std::string> QuickMini(const std::string& directory, const std::string& stage, int steps) {
  return {MOBILEVLM_EXECUTABLE,
          "mini",
          "--quick",
          "--out",
          directory,
          "--stage",
          stage,
          "--steps",
          std::to_string(steps),
          "--log-every",
          "1",
          "--precision",
          "float32",
          "--threads",
          "1"};
}

void RunAlone(const std::string& directory, const std::string& stage, int steps,
              const std::vector<std::string>& flags) {
  const Directory logs;
  Job job(logs);
  std::vector<std::string> command = QuickMini(directory, stage, steps);
  command.insert(command.end(), flags.begin(), flags.end());
  job.Start(command, {});
  const Ended ended = job.Wait(0);
  ASSERT_EQ(ended.code, 0) << ended.output;
}

std::vector<nlohmann::json> ReadLog(const std::string& directory, const std::string& stage) {
  std::vector<nlohmann::json> lines;
  std::ifstream stream(fmt::format("{}/{}/log.jsonl", directory, stage));
  for (std::string line; std::getline(stream, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

void ExpectSameLosses(const std::vector<nlohmann::json>& one, const std::vector<nlohmann::json>& other,
                      double tolerance) {
  ASSERT_EQ(one.size(), other.size());
  double worst = 0;
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i]["step"], other[i]["step"]);
    const double a = one[i]["loss"].get<double>(), b = other[i]["loss"].get<double>();
    EXPECT_TRUE(std::abs(a - b) <= tolerance) << "step " << i + 1 << ": " << a << " and " << b;
    worst = std::max(worst, std::abs(a - b));
  }
  ::testing::Test::RecordProperty("worst_difference", std::to_string(worst));
}

std::string FreeMaster(const std::string& host) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t length = sizeof(address);
  MVLM_CHECK(::bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0, "no free port");
  MVLM_CHECK(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0, "no free port");
  ::close(fd);
  return fmt::format("{}:{}", host, ntohs(address.sin_port));
}

}  // namespace mobilevlm::processes_test
