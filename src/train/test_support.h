// What the trainer's tests share.
#pragma once

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>

#include "base/check.h"
#include "base/result.h"
#include "train/parallel/gradient_buckets.h"

namespace mobilevlm::train {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "mobilevlm-train-XXXXXX").string();
    MVLM_CHECK(mkdtemp(pattern.data()) != nullptr, "{}", pattern);
    path_ = pattern;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

template <class T>
std::string ErrorOf(const Result<T>& result) {
  return result ? "" : result.error().message;
}

// Stops a run as Ctrl-C does, once its log has a line. Made under a StopSignal, so that its thread leaves the
// signal to the run.
class StopAtFirstLine {
 public:
  explicit StopAtFirstLine(const std::string& log) {
    thread_ = std::jthread([log](const std::stop_token& ended) {
      std::error_code missing;
      while (!ended.stop_requested() && !(std::filesystem::file_size(log, missing) > 0 && !missing)) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      ::kill(::getpid(), SIGTERM);
    });
  }

 private:
  std::jthread thread_;
};

// Optimizer::State(), all of it: nothing on other processes than rank 0.
inline NamedTensors Collected(GradientBuckets::StateStream state) {
  NamedTensors tensors;
  for (const auto& entry : state.entries()) {
    const torch::Tensor tensor = state.Next();
    if (tensor.defined()) tensors[entry.name] = tensor.clone();
  }
  return tensors;
}

// Largest difference of two tensors of one shape.
inline double Difference(const torch::Tensor& a, const torch::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return (a - b).abs().max().item<double>();
}

}  // namespace mobilevlm::train
