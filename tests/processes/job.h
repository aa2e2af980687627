// A training job for tests: the trainer's processes, each with its output in a file, which can be killed one
// by one; and what its run left behind.
#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace mobilevlm::processes_test {

class Directory {
 public:
  Directory();
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Ended {
  int code = -1;  // -1: by a signal
  std::string output;
};

class Job {
 public:
  explicit Job(const Directory& logs) : logs_(logs.path()) {}
  ~Job();  // kills what is left
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Starts `command` with more environment, NAME=value; returns its number.
  size_t Start(const std::vector<std::string>& command, const std::vector<std::string>& environment);
  // Ranks 0 to n - 1 of `command` on this machine; each `prefix[rank]`, if there, stands before it.
  void StartRanks(int n, const std::string& master, const std::vector<std::string>& command,
                  const std::vector<std::vector<std::string>>& prefix = {});

  void Signal(size_t number, int signal) const;
  // Waits until the output of a process holds `text`; false after `seconds`.
  bool Says(size_t number, const std::string& text, double seconds) const;
  Ended Wait(size_t number);
  size_t size() const { return processes_.size(); }

 private:
  struct Process {
    pid_t pid;
    std::string log;
    bool waited = false;
  };
  std::string logs_;
  std::vector<Process> processes_;
};

// `mobilevlm-train mini --quick --stage STAGE` in a directory, in float32 on one thread, every step logged.
std::vector<std::string> QuickMini(const std::string& directory, const std::string& stage, int steps);

// Runs it with more flags, as one process.
void RunAlone(const std::string& directory, const std::string& stage, int steps,
              const std::vector<std::string>& flags = {});

// The lines of DIRECTORY/STAGE/log.jsonl.
std::vector<nlohmann::json> ReadLog(const std::string& directory, const std::string& stage);

inline constexpr int kSteps = 20;  // of runs whose losses are compared

// Every step's loss, and that both runs have the same steps, within `tolerance` of each other.
void ExpectSameLosses(const std::vector<nlohmann::json>& one, const std::vector<nlohmann::json>& other,
                      double tolerance);

// HOST:PORT with a port of this machine that nobody uses.
std::string FreeMaster(const std::string& host);

}  // namespace mobilevlm::processes_test
