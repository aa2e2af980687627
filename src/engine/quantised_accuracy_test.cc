// What 8-bit activations cost: a quantised tower against itself with float activations.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "engine/picture.h"
#include "engine/runtime.h"
#include "engine/trace.h"
#include "synth/synth.h"

namespace mobilevlm::engine {
namespace {

namespace fs = std::filesystem;

const std::string kMini = MOBILEVLM_SOURCE_DIR "/models/mini/";
constexpr double kLeastCosine = 0.9995;

std::shared_ptr<Runtime> Load(const std::string& directory, bool float_activations, int threads = 0) {
  auto runtime = Runtime::Load({.text = directory + "text.gguf",
                                .mmproj = directory + "mmproj.gguf",
                                .threads = threads,
                                .kv = KvType::kF32,
                                .float_activations = float_activations});
  MVLM_CHECK(runtime.has_value(), "{}", runtime.error().message);
  return *std::move(runtime);
}

std::vector<float> VisualTokens(Runtime& runtime, const std::string& picture) {
  TraceInput input;
  Result<Image> image = LoadPicture(Picture::FromFile(kMini + "samples/" + picture));
  MVLM_CHECK(image.has_value(), "{}", image.error().message);
  input.picture = std::move(*image);
  Result<TraceOutput> output = Trace(runtime, input);
  MVLM_CHECK(output.has_value(), "{}", output.error().message);
  return std::move(output->visual_tokens);
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

// Of [tokens][hidden] visual tokens: over all and token by token.
void ExpectTheSameDirections(const std::vector<float>& wanted, const std::vector<float>& found, size_t hidden,
                             const std::string& picture) {
  EXPECT_NE(found, wanted) << "8-bit activations were not used";
  const double all = Cosine(found.data(), wanted.data(), found.size());
  double least = 1;
  for (size_t t = 0; t < found.size(); t += hidden) {
    least = std::min(least, Cosine(&found[t], &wanted[t], hidden));
  }
  ::testing::Test::RecordProperty(picture, fmt::format("{:.6f}, {:.6f}", all, least));
  EXPECT_GE(all, kLeastCosine) << picture;
  EXPECT_GE(least, kLeastCosine) << picture << ", the worst token";
}

TEST(QuantisedAccuracy, VisualTokensKeepTheirDirection) {
  const auto exact = Load(kMini, true), quantised = Load(kMini, false);
  for (const char* picture : {"farm.png", "chart.png", "shapes.png"}) {
    const std::vector<float> found = VisualTokens(*quantised, picture);
    ASSERT_EQ(found.size(), 36u * 256);
    ExpectTheSameDirections(VisualTokens(*exact, picture), found, 256, picture);
  }
}

// A model with random weights whose tower, three layers in Q8_0, is `width` wide.
class RandomTower {
 public:
  explicit RandomTower(int width)
      : directory_(fs::path(::testing::TempDir()) / fmt::format("mobilevlm_tower_{}", width)) {
    SynthOptions options{.size = FindModelSize("mini").value(), .out_dir = directory_.string()};
    options.size.image.image_size = 96;
    options.size.vision = {.hidden = width,
                           .intermediate = 2 * width,
                           .heads = 8,
                           .stored_layers = 3,
                           .used_layers = 3,
                           .image_size = 96,
                           .patch_size = 12,
                           .layer_norm_eps = 1e-5f};
    options.size.llm.layers = 1;
    const Status written = SynthesizeModel(options);
    MVLM_CHECK(written.has_value(), "{}", written.error().message);
  }
  ~RandomTower() { fs::remove_all(directory_); }

  std::string path() const { return directory_.string() + "/"; }

 private:
  fs::path directory_;
};

void ExpectFormat(const Runtime& runtime, PackedFormat format) {
  for (const VisionBlockWeights& block : runtime.model().vision_weights.blocks) {
    for (const LinearWeights* w : {&block.q, &block.k, &block.v, &block.out, &block.fc1, &block.fc2}) {
      EXPECT_EQ(w->format, format);
    }
  }
}

TEST(QuantisedAccuracy, WideTowersTakeLongBlocksAndKeepTheirDirection) {
  const RandomTower tower(512);
  const auto exact = Load(tower.path(), true), one = Load(tower.path(), false, 1),
             three = Load(tower.path(), false, 3);
  ExpectFormat(*exact, kPackedQ8_0);
  ExpectFormat(*one, kPackedLong);
  for (const char* picture : {"farm.png", "chart.png", "shapes.png"}) {
    const std::vector<float> found = VisualTokens(*one, picture);
    ASSERT_EQ(found.size(), 16u * 256);
    ExpectTheSameDirections(VisualTokens(*exact, picture), found, 256, picture);
    EXPECT_EQ(found, VisualTokens(*three, picture)) << picture << ", three threads";
  }
}

TEST(QuantisedAccuracy, NarrowerTowersKeepTheirBlocks) {
  const RandomTower tower(448);
  ExpectFormat(*Load(tower.path(), false), kPackedQ8_0);
}

}  // namespace
}  // namespace mobilevlm::engine
