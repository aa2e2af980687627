#include "sample_pictures.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/parse_json.h"
#include "base/read_file.h"
#include "engine/picture.h"
#include "world/dataset.h"

namespace mobilevlm::app {
namespace {

using Take = std::function<Status(const SamplePicture&)>;

constexpr uint64_t kMaxAnnotationBytes = uint64_t{1} << 32;

Status TakeFile(const std::string& path, const std::string& question, const Take& take) {
  MVLM_ASSIGN(Image picture, engine::LoadPicture(Picture::FromFile(path)));
  return take({std::move(picture), question});
}

#if defined(MOBILEVLM_WORLD)
Status TakeWorld(const SampleSource& source, const Take& take) {
  MVLM_ASSIGN(const world::World world, world::World::Create({}));
  const std::vector<std::string>& kinds = world::Kinds();
  for (uint64_t i = 0; i < source.limit; ++i) {
    const world::Sample sample =
        world::MakeSample(world, source.split, kinds[i % kinds.size()], i / kinds.size());
    MVLM_TRY(take({world.Render(sample.scene).picture, sample.question.question}));
  }
  return {};
}
#else
Status TakeWorld(const SampleSource&, const Take&) {
  return Fail("this program was built without the mini world: name pictures or annotations");
}
#endif

// The first thing the human says, without the picture's place.
std::string FirstQuestion(const nlohmann::json& sample) {
  const auto turns = sample.find("conversations");
  if (turns == sample.end() || !turns->is_array() || turns->empty() || !(*turns)[0].is_object()) return {};
  const auto value = (*turns)[0].find("value");
  if (value == (*turns)[0].end() || !value->is_string()) return {};
  std::string text = *value;
  constexpr std::string_view kPlace = "<image>";
  for (size_t at = text.find(kPlace); at != std::string::npos; at = text.find(kPlace)) {
    text.erase(at, kPlace.size());
  }
  const size_t begin = text.find_first_not_of(" \n");
  return begin == std::string::npos ? "" : text.substr(begin);
}

Status TakeAnnotations(const SampleSource& source, const Take& take) {
  MVLM_ASSIGN(const std::string text, ReadFile(source.annotations, kMaxAnnotationBytes));
  MVLM_ASSIGN(const nlohmann::json list, ParseJson(text, source.annotations));
  if (!list.is_array()) return Fail("{}: wanted a JSON list of samples", source.annotations);
  const std::filesystem::path directory = std::filesystem::path(source.annotations).parent_path();
  uint64_t taken = 0;
  for (const nlohmann::json& sample : list) {
    if (source.limit > 0 && taken == source.limit) break;
    if (!sample.is_object()) return Fail("{}: a sample is no JSON object", source.annotations);
    const auto image = sample.find("image");
    if (image == sample.end()) continue;  // text only
    const std::string question = FirstQuestion(sample);
    if (!image->is_string() || question.empty()) {
      return Fail("{}: sample {}: wanted a picture's path and a question", source.annotations, taken + 1);
    }
    MVLM_TRY(TakeFile((directory / image->get<std::string>()).string(), question, take));
    ++taken;
  }
  if (taken == 0) return Fail("{}: there is no sample with a picture", source.annotations);
  return {};
}

}  // namespace

Status ForEachSample(const SampleSource& source, const Take& take) {
  if (!source.annotations.empty()) return TakeAnnotations(source, take);
  if (source.images.empty()) return TakeWorld(source, take);
  for (const std::string& path : source.images) MVLM_TRY(TakeFile(path, source.question, take));
  return {};
}

}  // namespace mobilevlm::app
