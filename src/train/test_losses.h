// Losses of whole runs, step by step, as they were recorded: a change that should change nothing must not
// change a bit of them.
#pragma once

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/content_hash.h"

namespace mobilevlm::train {

// Names this machine's arithmetic: the bits of some products and sums, which differ between CPUs and
// libraries.
inline std::string ArithmeticFingerprint() {
  const auto pattern = [](int64_t rows, int64_t columns, double step) {
    return torch::arange(rows * columns, torch::kFloat32).mul(step).sin().view({rows, columns});
  };
  const torch::Tensor x = pattern(67, 129, 0.37), w = pattern(129, 91, 0.11);
  const torch::Tensor y = torch::softmax(torch::mm(x, w), 1),
                      z = torch::bmm(x.view({1, 67, 129}), w.view({1, 129, 91}));
  const torch::Tensor all =
      torch::cat({y.flatten(), z.flatten(), y.sum(0), z.square().mean(2).flatten(), torch::silu(x).flatten(),
                  torch::layer_norm(x, {129}).flatten(), torch::rsqrt(x.square().mean(1) + 1e-6),
                  torch::mm(w.t(), x.t()).flatten()});
  return ToHex(HashBytes(all.data_ptr(), all.nbytes()));
}

// `losses`, a list for each run, against tests/golden/training/FILE, which must hold the same runs: to the
// bit on the machine they were recorded on; elsewhere rounding differs, and a run's first ten may be off by
// its tolerance, relative, or by `other`. MOBILEVLM_RECORD_LOSSES=1 records.
inline void ExpectRecordedLosses(const std::string& file, const nlohmann::json& losses,
                                 const std::map<std::string, double>& tolerances, double other) {
  const std::string path = MOBILEVLM_SOURCE_DIR "/tests/golden/training/" + file;
  const std::string arithmetic = ArithmeticFingerprint();
  if (std::getenv("MOBILEVLM_RECORD_LOSSES") != nullptr) {
    std::ofstream(path) << nlohmann::json{{"arithmetic", arithmetic}, {"losses", losses}}.dump(1) << "\n";
  }
  std::ifstream stream(path);
  const auto recorded = nlohmann::json::parse(stream, nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(recorded.is_object() && recorded.contains("losses")) << path << ": nothing is recorded";
  const bool same_machine = recorded.value("arithmetic", "") == arithmetic;
  EXPECT_EQ(recorded["losses"].size(), losses.size()) << path << ": other runs are recorded";
  for (const auto& [run, found] : losses.items()) {
    ASSERT_TRUE(recorded["losses"].contains(run)) << path << ": " << run << " is not recorded";
    const nlohmann::json& wanted = recorded["losses"][run];
    const auto own = tolerances.find(run);
    const double tolerance = own == tolerances.end() ? other : own->second;
    ASSERT_EQ(found.size(), wanted.size()) << run;
    for (size_t i = 0; i < wanted.size(); ++i) {
      const auto a = found[i].get<double>(), b = wanted[i].get<double>();
      if (same_machine) {
        ASSERT_EQ(a, b) << run << " step " << i + 1;
      } else if (i < 10) {  // later, rounding grows into different runs
        EXPECT_NEAR(a, b, tolerance * b) << run << " step " << i + 1;
      }
    }
  }
}

}  // namespace mobilevlm::train
