// What 8-bit activations cost: the bundled model's quantised tower against itself with float activations.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine/picture.h"
#include "engine/runtime.h"
#include "engine/trace.h"

namespace mobilevlm::engine {
namespace {

constexpr double kLeastCosine = 0.9995;

std::vector<float> VisualTokens(const std::string& picture, bool float_activations) {
  const std::string directory = MOBILEVLM_SOURCE_DIR "/models/mini/";
  auto runtime = Runtime::Load({.text = directory + "text.gguf",
                                .mmproj = directory + "mmproj.gguf",
                                .kv = KvType::kF32,
                                .float_activations = float_activations});
  EXPECT_TRUE(runtime) << runtime.error().message;
  TraceInput input;
  Result<Image> image = LoadPicture(Picture::FromFile(directory + "samples/" + picture));
  EXPECT_TRUE(image) << image.error().message;
  input.picture = std::move(*image);
  Result<TraceOutput> output = Trace(**runtime, input);
  EXPECT_TRUE(output) << output.error().message;
  return output->visual_tokens;
}

double Cosine(const float* a, const float* b, size_t n) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < n; ++i) {
    ab += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

TEST(QuantisedAccuracy, VisualTokensKeepTheirDirection) {
  constexpr size_t kHidden = 256;
  for (const char* picture : {"farm.png", "chart.png", "shapes.png"}) {
    const std::vector<float> wanted = VisualTokens(picture, true), found = VisualTokens(picture, false);
    ASSERT_EQ(found.size(), 36 * kHidden);
    EXPECT_NE(found, wanted) << "8-bit activations were not used";
    const double all = Cosine(found.data(), wanted.data(), found.size());
    EXPECT_GE(all, kLeastCosine) << picture;
    double least = 1;
    for (size_t t = 0; t < 36; ++t) {
      least = std::min(least, Cosine(&found[t * kHidden], &wanted[t * kHidden], kHidden));
    }
    RecordProperty(picture, std::to_string(least));
    EXPECT_GE(least, kLeastCosine) << picture << ", the worst token";
  }
}

}  // namespace
}  // namespace mobilevlm::engine
