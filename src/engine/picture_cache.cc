#include "engine/picture_cache.h"

#include <algorithm>
#include <utility>

#include "engine/picture.h"

namespace mobilevlm::engine {
namespace {

// 144 visual tokens of 2,048 floats are 1.1 MiB a picture.
constexpr size_t kRecentPictures = 8;

}  // namespace

Result<PictureCache::Loaded> PictureCache::Load(const Pipeline& pipeline, const Picture& picture) const {
  MVLM_ASSIGN(const PictureBytes bytes, PictureBytes::Read(picture));
  Loaded loaded{.source = bytes.Hash(), .known = nullptr, .pixels = {}};
  const auto known = std::find_if(recent_.begin(), recent_.end(),
                                  [&](const auto& recent) { return recent->source == loaded.source; });
  if (known != recent_.end()) {
    loaded.known = *known;
    return loaded;
  }
  MVLM_ASSIGN(const Image image, bytes.Decode());
  loaded.pixels = pipeline.Preprocess(image, picture.fit);
  return loaded;
}

PictureCache::Pointer PictureCache::Encode(Pipeline& pipeline, Loaded loaded, Stats& stats) {
  std::shared_ptr<EncodedPicture> picture = std::move(loaded.known);
  if (picture == nullptr) {
    const Hash128 pixels = HashBytes(loaded.pixels.rgb.data(), loaded.pixels.rgb.size());
    const auto known = std::find_if(recent_.begin(), recent_.end(),
                                    [&](const auto& recent) { return recent->pixels == pixels; });
    if (known != recent_.end()) {
      picture = *known;
    } else {
      const ProjectorConfig& projector = pipeline.model().projector;
      picture = std::make_shared<EncodedPicture>();
      picture->pixels = pixels;
      picture->tokens = picture->buffer.ReserveMat(static_cast<size_t>(projector.tokens()),
                                                   static_cast<size_t>(projector.hidden));
      pipeline.EncodePicture(loaded.pixels, picture->tokens);
      ++stats.images;
    }
  }
  picture->source = loaded.source;
  std::erase(recent_, picture);
  recent_.insert(recent_.begin(), picture);
  if (recent_.size() > kRecentPictures) recent_.pop_back();
  return picture;
}

}  // namespace mobilevlm::engine
