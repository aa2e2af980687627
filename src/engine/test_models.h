// What the tests of this folder ask: the nano models, the bundled one, and pictures that differ.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "mobilevlm/mobilevlm.h"

namespace mobilevlm {

inline const std::string kGolden = MOBILEVLM_SOURCE_DIR "/tests/golden/";

inline LoadOptions FilesIn(const std::string& directory) {
  LoadOptions options;
  options.text = directory + "/text.gguf";
  options.mmproj = directory + "/mmproj.gguf";
  options.threads = 1;
  return options;
}
inline LoadOptions Nano(const std::string& name = "nano-ldpv2") { return FilesIn(kGolden + name); }
inline LoadOptions Mini() { return FilesIn(MOBILEVLM_SOURCE_DIR "/models/mini"); }

inline Model MustLoad(const LoadOptions& options) {
  Result<Model> model = Model::Load(options);
  EXPECT_TRUE(model) << model.error().message;
  return std::move(*model);
}

// A picture of the model's size that differs with `seed`.
inline Picture Pattern(int seed) {
  constexpr int kSide = 336;
  std::vector<uint8_t> rgb(static_cast<size_t>(kSide) * kSide * 3);
  for (size_t i = 0; i < rgb.size(); ++i) {
    rgb[i] = static_cast<uint8_t>((i * static_cast<size_t>(seed) * 7919 + i / 1000) % 251);
  }
  return Picture::FromRgb(kSide, kSide, std::move(rgb));
}

}  // namespace mobilevlm
