#include "train/data/feature_cache.h"

#include <chrono>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "base/atomic_file.h"
#include "train/data/tower_targets.h"

namespace mobilevlm::train {
namespace {

constexpr int64_t kChunk = 16;    // pictures per forward pass
constexpr int64_t kBlock = 1024;  // pictures between progress lines

void Mix(uint64_t& hash, const void* data, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001B3ull;
}

Status WriteFeatures(const std::string& path, const SceneMix& mix, const ImageConfig& image,
                     ClipVisionTower& tower, int64_t scenes, DataParallel& parallel, StopSignal& stop) {
  MVLM_ASSIGN(AtomicFile file, AtomicFile::Create(path));
  const auto start = std::chrono::steady_clock::now();
  for (int64_t first = 0; first < scenes; first += kBlock) {
    if (stop.Requested()) return Fail("stopped while encoding pictures; the same command starts over");
    std::vector<world::Scene> block;
    for (int64_t i = first; i < std::min(first + kBlock, scenes); ++i) {
      block.push_back(mix.Make(static_cast<uint64_t>(i)));
    }
    const torch::Tensor half =
        EncodeScenes(mix.world(), image, tower, block, parallel).to(torch::kHalf).contiguous();
    MVLM_TRY(file.Write(half.data_ptr(), half.nbytes()));
    const int64_t done = first + half.size(0);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    fmt::print(stderr, "features {}/{}, {:.0f} s left\n", done, scenes,
               seconds / static_cast<double>(done) * static_cast<double>(scenes - done));
  }
  return file.Commit();
}

std::string CachePath(const std::string& directory, int64_t scenes, uint64_t hash) {
  return fmt::format("{}/train-{}-{:016x}.f16", directory, scenes, hash);
}

// The number of scenes in the smallest file of this hash that holds `scenes` or more, else `scenes`: a file's
// scenes begin with those of a shorter one.
int64_t ScenesInFile(const std::string& directory, int64_t scenes, uint64_t hash) {
  int64_t found = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    int64_t held = 0;
    if (std::sscanf(entry.path().filename().c_str(), "train-%" SCNd64 "-", &held) != 1) continue;
    if (entry.path().string() != CachePath(directory, held, hash) || held < scenes) continue;
    found = found == 0 ? held : std::min(found, held);
  }
  return found > 0 ? found : scenes;
}

}  // namespace

uint64_t HashModule(const torch::nn::Module& module) {
  uint64_t hash = 0xCBF29CE484222325ull;
  for (const auto& item : module.named_parameters()) {
    const torch::Tensor tensor = item.value().detach().contiguous();
    Mix(hash, item.key().data(), item.key().size());
    Mix(hash, tensor.data_ptr(), tensor.nbytes());
  }
  return hash;
}

torch::Tensor EncodeScenes(const world::World& world, const ImageConfig& image, ClipVisionTower& tower,
                           const std::vector<world::Scene>& scenes, DataParallel& parallel) {
  const int64_t count = static_cast<int64_t>(scenes.size()), side = image.image_size;
  const VisionConfig& config = tower->config();
  torch::Tensor features = torch::empty({count, config.patches(), config.hidden});
  parallel.ForEach(static_cast<size_t>((count + kChunk - 1) / kChunk), [&](size_t chunk) {
    const int64_t begin = static_cast<int64_t>(chunk) * kChunk, end = std::min(begin + kChunk, count);
    torch::Tensor pixels = torch::empty({end - begin, 3, side, side});
    for (int64_t i = begin; i < end; ++i) {
      const world::Rendered rendered = world.Render(scenes[static_cast<size_t>(i)]);
      NormalisePixels(
          rendered.picture, image,
          {pixels.data_ptr<float>() + (i - begin) * 3 * side * side, static_cast<size_t>(3 * side * side)});
    }
    features.slice(0, begin, end).copy_(tower->forward(pixels));
  });
  return features;
}

torch::Tensor EncodeBlank(const ImageConfig& image, ClipVisionTower& tower) {
  const torch::NoGradGuard no_gradients;
  Image blank(image.image_size, image.image_size);
  for (size_t i = 0; i < blank.rgb.size(); ++i) {
    blank.rgb[i] = static_cast<uint8_t>(image.mean[i % 3] * 255.0f);
  }
  torch::Tensor pixels = torch::empty({1, 3, image.image_size, image.image_size});
  NormalisePixels(blank, image, {pixels.data_ptr<float>(), static_cast<size_t>(pixels.numel())});
  return tower->forward(pixels);
}

Result<FeatureCache> FeatureCache::Open(const std::string& directory, const SceneMix& mix,
                                        const ImageConfig& image, ClipVisionTower& tower, int64_t scenes,
                                        DataParallel& parallel, StopSignal& stop) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return Fail("{}: cannot create the directory: {}", directory, error.message());
  uint64_t hash = HashModule(*tower);
  const std::string name = mix.Name();
  Mix(hash, name.data(), name.size());
  const int64_t held = ScenesInFile(directory, scenes, hash);
  const std::string path = CachePath(directory, held, hash);
  if (!std::filesystem::exists(path)) {
    MVLM_TRY(WriteFeatures(path, mix, image, tower, scenes, parallel, stop));
  }
  MVLM_ASSIGN(MappedFile file, MappedFile::Open(path));
  const VisionConfig& config = tower->config();
  const uint64_t wanted = static_cast<uint64_t>(held * config.patches() * config.hidden) * 2;
  if (file.bytes().size() != wanted) {
    return Fail("{}: wanted {} bytes, found {}; remove it", path, wanted, file.bytes().size());
  }
  // The mapping is read-only and stays so: Gather copies.
  void* data = const_cast<std::byte*>(file.bytes().data());
  torch::Tensor features = torch::from_blob(data, {scenes, config.patches(), config.hidden}, torch::kHalf);
  return FeatureCache(std::move(file), std::move(features));
}

torch::Tensor FeatureCache::Gather(const std::vector<int64_t>& indices) const {
  return features_.index_select(0, torch::tensor(indices, torch::kInt64)).to(torch::kFloat32);
}

}  // namespace mobilevlm::train
