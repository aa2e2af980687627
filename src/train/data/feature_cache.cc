#include "train/data/feature_cache.h"

#include <filesystem>

#include "base/atomic_file.h"
#include "base/progress.h"
#include "image/preprocess.h"

namespace mobilevlm::train {
namespace {

constexpr int64_t kChunk = 16;  // pictures per forward pass

void Mix(uint64_t& hash, const void* data, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001B3ull;
}

int64_t SceneBytes(const VisionConfig& config) {
  return config.patches() * config.hidden * static_cast<int64_t>(sizeof(at::Half));
}

std::string BlockPath(const std::string& directory, int64_t block) {
  return fmt::format("{}/{:05}.f16", directory, block);
}

// Does the file of a block hold this many scenes or more?
bool Holds(const std::string& path, int64_t scenes, const VisionConfig& config) {
  std::error_code missing;
  const uintmax_t bytes = std::filesystem::file_size(path, missing);
  return !missing && bytes >= static_cast<uintmax_t>(scenes * SceneBytes(config));
}

// Scenes [first, first + count) of the mix into a file.
Status WriteBlock(const std::string& path, const SceneMix& mix, const ImageConfig& image,
                  ClipVisionTower& tower, int64_t first, int64_t count, DataParallel& parallel) {
  std::vector<world::Scene> scenes;
  for (int64_t i = first; i < first + count; ++i) scenes.push_back(mix.Make(static_cast<uint64_t>(i)));
  const torch::Tensor half =
      EncodeScenes(mix.world(), image, tower, scenes, parallel).to(torch::kHalf).contiguous();
  MVLM_ASSIGN(AtomicFile file, AtomicFile::Create(path));
  MVLM_TRY(file.Write(half.data_ptr(), half.nbytes()));
  return file.Commit();
}

// A run of scenes that one file holds.
struct Block {
  std::string path;
  int64_t first, count;
};

// The blocks of scenes [0, scenes) that are missing or too short.
std::vector<Block> Missing(const std::string& directory, int64_t scenes, const VisionConfig& config) {
  std::vector<Block> missing;
  for (int64_t first = 0; first < scenes; first += FeatureCache::kScenesPerFile) {
    const int64_t count = std::min(FeatureCache::kScenesPerFile, scenes - first);
    const std::string path = BlockPath(directory, first / FeatureCache::kScenesPerFile);
    if (!Holds(path, count, config)) missing.push_back({path, first, count});
  }
  return missing;
}

// This process's share of them: each block belongs to one process of the machine.
Status Complete(const std::vector<Block>& missing, const SceneMix& mix, const ImageConfig& image,
                ClipVisionTower& tower, DataParallel& parallel, StopSignal& stop) {
  const ProcessGroup& processes = parallel.processes();
  Progress progress("features", missing.size());
  for (size_t i = 0; i < missing.size(); ++i) {
    if (static_cast<int>(i % static_cast<size_t>(processes.local_size())) != processes.local_rank()) continue;
    if (stop.Requested()) return Fail("stopped while encoding pictures; the same command goes on");
    const Block& block = missing[i];
    MVLM_TRY(WriteBlock(block.path, mix, image, tower, block.first, block.count, parallel));
    if (processes.first()) progress.Update(i + 1);
  }
  return {};
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
      Normalise(
          rendered.picture, image.mean, image.std,
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
  Normalise(blank, image.mean, image.std, {pixels.data_ptr<float>(), static_cast<size_t>(pixels.numel())});
  return tower->forward(pixels);
}

Result<FeatureCache> FeatureCache::Open(const std::string& directory, const SceneMix& mix,
                                        const ImageConfig& image, ClipVisionTower& tower, int64_t scenes,
                                        DataParallel& parallel, StopSignal& stop) {
  uint64_t hash = HashModule(*tower);
  const std::string name = mix.Name();
  Mix(hash, name.data(), name.size());
  const std::string blocks = fmt::format("{}/{:016x}", directory, hash);
  std::error_code error;
  std::filesystem::create_directories(blocks, error);
  if (error) return Fail("{}: cannot create the directory: {}", blocks, error.message());
  const VisionConfig& config = tower->config();
  const std::vector<Block> missing = Missing(blocks, scenes, config);
  ProcessGroup& processes = parallel.processes();
  MVLM_TRY(processes.Together({}));  // all processes of a machine have the same list before one writes
  MVLM_TRY(processes.Together(Complete(missing, mix, image, tower, parallel, stop)));

  FeatureCache cache(scenes);
  for (int64_t first = 0; first < scenes; first += kScenesPerFile) {
    MVLM_ASSIGN(MappedFile file, MappedFile::Open(BlockPath(blocks, first / kScenesPerFile)));
    const auto bytes = static_cast<int64_t>(file.bytes().size());
    if (bytes % SceneBytes(config) != 0) {
      return Fail("{}: wanted scenes of {} bytes, found {} bytes; remove it", file.path(), SceneBytes(config),
                  bytes);
    }
    // The mapping is read-only and stays so: Gather copies.
    void* data = const_cast<std::byte*>(file.bytes().data());
    cache.blocks_.push_back(
        torch::from_blob(data, {bytes / SceneBytes(config), config.patches(), config.hidden}, torch::kHalf));
    cache.files_.push_back(std::move(file));
  }
  return cache;
}

torch::Tensor FeatureCache::Gather(const std::vector<int64_t>& indices) const {
  const auto count = static_cast<int64_t>(indices.size());
  torch::Tensor result = torch::empty({count, blocks_[0].size(1), blocks_[0].size(2)});
  for (int64_t i = 0; i < count; ++i) {
    const int64_t scene = indices[static_cast<size_t>(i)];
    result[i].copy_(blocks_[static_cast<size_t>(scene / kScenesPerFile)][scene % kScenesPerFile]);
  }
  return result;
}

}  // namespace mobilevlm::train
