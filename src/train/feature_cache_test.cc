// Features of the mini world's scenes on disk: what is kept is what the tower says, and is not computed
// twice.
#include "train/data/feature_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/check.h"
#include "train/test_support.h"

namespace mobilevlm::train {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kFile = FeatureCache::kScenesPerFile;

class FeatureCacheTest : public testing::Test {
 protected:
  FeatureCacheTest() {
    torch::manual_seed(7);
    tower_ = ClipVisionTower(VisionConfig{.hidden = 16,
                                          .intermediate = 32,
                                          .heads = 2,
                                          .stored_layers = 1,
                                          .used_layers = 1,
                                          .image_size = 144,
                                          .patch_size = 12,
                                          .layer_norm_eps = 1e-5f});
  }

  static const world::World& TheWorld() {
    static const world::World world = [] {
      auto result = world::World::Create({.side = 144});
      MVLM_CHECK(result.has_value(), "{}", result.error().message);
      return std::move(*result);
    }();
    return world;
  }

  Result<FeatureCache> Open(int64_t scenes) {
    return FeatureCache::Open(directory_.path() + "/features", mix_, image_, tower_, scenes, parallel_,
                              *stop_);
  }

  // What Gather must say of a scene.
  torch::Tensor Encoded(int64_t scene) {
    const std::vector<world::Scene> one = {mix_.Make(static_cast<uint64_t>(scene))};
    return EncodeScenes(TheWorld(), image_, tower_, one, parallel_).to(torch::kHalf).to(torch::kFloat32)[0];
  }

  void ExpectHolds(const FeatureCache& cache, const std::vector<int64_t>& scenes) {
    const torch::Tensor found = cache.Gather(scenes);
    for (size_t i = 0; i < scenes.size(); ++i) {
      EXPECT_TRUE(torch::allclose(found[static_cast<int64_t>(i)], Encoded(scenes[i]), 1e-3, 1e-3))
          << scenes[i];
    }
  }

  // Of every tower and mix.
  std::vector<fs::path> Files() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(directory_.path())) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
  }

  const TemporaryDirectory directory_;
  const SceneMix mix_{TheWorld(), {{"count", 0.5}}};
  const ImageConfig image_{.image_size = 144, .mean = {0.5f, 0.5f, 0.5f}, .std = {0.5f, 0.5f, 0.5f}};
  std::optional<StopSignal> stop_{std::in_place};
  DataParallel parallel_{2, false};
  ClipVisionTower tower_{nullptr};
};

TEST_F(FeatureCacheTest, ALongerRunComputesOnlyWhatItLacksAlsoAfterAnInterruption) {
  {
    const auto cache = Open(kFile);
    ASSERT_TRUE(cache.has_value()) << cache.error().message;
    ExpectHolds(*cache, {0, kFile - 1, 17, 17});
  }
  ASSERT_EQ(Files().size(), 1u);
  const auto written = fs::last_write_time(Files()[0]);

  std::raise(SIGTERM);  // blocked by StopSignal, so it waits to be asked for
  EXPECT_EQ(ErrorOf(Open(kFile + 5)), "stopped while encoding pictures; the same command goes on");
  ASSERT_EQ(Files().size(), 1u);

  stop_.emplace();
  const auto longer = Open(kFile + 5);
  ASSERT_TRUE(longer.has_value()) << longer.error().message;
  EXPECT_EQ(longer->scenes(), kFile + 5);
  ExpectHolds(*longer, {kFile + 4, 3, kFile});
  ASSERT_EQ(Files().size(), 2u);
  const auto shorter = Open(10);
  ASSERT_TRUE(shorter.has_value()) << shorter.error().message;
  EXPECT_EQ(shorter->scenes(), 10);
  ExpectHolds(*shorter, {9});
  EXPECT_EQ(fs::last_write_time(Files()[0]), written) << "computed again";
}

TEST_F(FeatureCacheTest, AnotherTowerOrMixHasFilesOfItsOwn) {
  ASSERT_TRUE(Open(4).has_value());
  {
    const torch::NoGradGuard no_gradients;
    tower_->parameters()[0].add_(0.5);
  }
  const auto other = Open(4);
  ASSERT_TRUE(other.has_value()) << other.error().message;
  EXPECT_EQ(Files().size(), 2u);
  ExpectHolds(*other, {1, 2});
  const SceneMix plain(TheWorld(), {});
  ASSERT_TRUE(
      FeatureCache::Open(directory_.path() + "/features", plain, image_, tower_, 4, parallel_, *stop_));
  EXPECT_EQ(Files().size(), 3u);
}

TEST_F(FeatureCacheTest, AFileThatWasCutIsComputedAgainAndOneOfAnotherShapeIsRefused) {
  ASSERT_TRUE(Open(4).has_value());
  const fs::path file = Files()[0];
  const uintmax_t bytes = fs::file_size(file);
  fs::resize_file(file, bytes - 2);
  const auto whole = Open(4);
  ASSERT_TRUE(whole.has_value()) << whole.error().message;
  ExpectHolds(*whole, {3});

  std::ofstream(file, std::ios::app) << "x";
  EXPECT_EQ(ErrorOf(Open(4)), fmt::format("{}: wanted scenes of {} bytes, found {} bytes; remove it",
                                          file.string(), bytes / 4, bytes + 1));
}

}  // namespace
}  // namespace mobilevlm::train
