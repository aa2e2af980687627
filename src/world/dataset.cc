#include "world/dataset.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/atomic_file.h"
#include "image/png_write.h"
#include "world/splits.h"

namespace mobilevlm::world {
namespace {

constexpr std::array kSplits = {Split::kTrain, Split::kValidation, Split::kTest};

Status MakeDirectory(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return Fail("{}: cannot create this directory: {}", path.string(), error.message());
  return {};
}

nlohmann::ordered_json Annotation(const std::string& id, const std::string& image, const Question& question) {
  return {{"id", id},
          {"image", image},
          {"conversations",
           {{{"from", "human"}, {"value", "<image>\n" + question.question}},
            {{"from", "gpt"}, {"value", question.answer}}}},
          {"kind", question.kind}};
}

}  // namespace

Sample MakeSample(const World& world, Split split, std::string_view kind, uint64_t index) {
  Sample sample{world.MakeScene(split, kind, index), {}};
  const auto number =
      static_cast<uint64_t>(std::find(Kinds().begin(), Kinds().end(), kind) - Kinds().begin());
  Random random = Random::Stream(~SeedOf(split) + number, index);
  sample.question = world.Ask(sample.scene, kind, random);
  return sample;
}

Result<int> ExportDataset(const World& world, const ExportOptions& options) {
  const std::filesystem::path directory(options.directory);
  MVLM_TRY(MakeDirectory(directory / "images"));
  nlohmann::ordered_json annotations = nlohmann::ordered_json::array();
  for (int index = 0; index < options.per_kind; ++index) {
    for (const std::string& kind : Kinds()) {
      if (options.limit > 0 && static_cast<int>(annotations.size()) == options.limit) break;
      const Sample sample = MakeSample(world, options.split, kind, static_cast<uint64_t>(index));
      const std::string id = fmt::format("{}_{}_{:06}", NameOf(options.split), kind, index);
      const std::string image = "images/" + id + ".png";
      MVLM_TRY(WritePng((directory / image).string(), world.Render(sample.scene).picture));
      annotations.push_back(Annotation(id, image, sample.question));
    }
  }
  MVLM_TRY(WriteFileAtomically((directory / "annotations.json").string(), annotations.dump(1) + "\n"));
  return static_cast<int>(annotations.size());
}

Status WriteContactSheet(const World& world, Split split, int rows, int columns, const std::string& path) {
  Image sheet;
  constexpr int kGap = 4;
  for (int i = 0; i < rows * columns; ++i) {
    const Image picture = world.Render(world.MakeScene(split, static_cast<uint64_t>(i))).picture;
    const int pitch = picture.width + kGap;
    if (i == 0) sheet = Image(columns * pitch - kGap, rows * pitch - kGap);
    for (int y = 0; y < picture.height; ++y) {
      std::copy_n(picture.at(0, y), picture.width * 3,
                  sheet.at(i % columns * pitch, i / columns * pitch + y));
    }
  }
  return WritePng(path, sheet);
}

Result<Split> ParseSplit(std::string_view name) {
  for (Split split : kSplits) {
    if (NameOf(split) == name) return split;
  }
  return Fail("split: wanted train, validation or test, found '{}'", name);
}

std::string_view NameOf(Split split) {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kValidation:
      return "validation";
    case Split::kTest:
      return "test";
  }
  return "";
}

}  // namespace mobilevlm::world
