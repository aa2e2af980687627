// The reference data in tests/golden: three tiny random models whose outputs were computed with PyTorch.
// nano-mlp has the tower and the decoder of nano-ldpv2, so its vision_features.npy is that one's.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tensor/npy.h"

namespace mobilevlm::golden {

// Float32 rounding through a few layers of these models is below 1e-4 of values around 1; a wrong operation
// is far above.
inline constexpr double kTolerance = 2e-3;

inline std::string Path(const std::string& name) { return MOBILEVLM_SOURCE_DIR "/tests/golden/" + name; }

inline NpyArray ReadGolden(const std::string& name) {
  Result<NpyArray> array = ReadNpy(Path(name));
  EXPECT_TRUE(array) << array.error().message;
  return array.value_or(NpyArray());
}

// "1,2,3", as --ids-before takes them.
inline std::string Join(const std::vector<int>& ids) {
  std::string text;
  for (const int id : ids) {
    if (!text.empty()) text += ',';
    text += std::to_string(id);
  }
  return text;
}

struct Expected {
  std::vector<int> ids_before, ids_after, greedy_ids;
};

inline Expected ReadExpected(const std::string& model) {
  std::ifstream file(Path(model + "/expected.json"));
  EXPECT_TRUE(file.good()) << model;
  const nlohmann::json json = nlohmann::json::parse(file);
  return {json.at("ids_before_image"), json.at("ids_after_image"), json.at("greedy_ids")};
}

}  // namespace mobilevlm::golden
