#include "engine/shared_pictures.h"

#include <algorithm>
#include <utility>

namespace mobilevlm::engine {

bool SharedPicture::Advance(Pipeline& pipeline, size_t blocks) {
  if (done) return true;
  if (progress == nullptr) progress = std::make_unique<PictureProgress>();
  done = pipeline.AdvancePicture(pixels, blocks, *progress, tokens);
  if (done) progress.reset();
  return done;
}

uint64_t SharedPictures::bytes_per_picture() const {
  const uint64_t tokens = static_cast<uint64_t>(model_.projector.tokens());
  const uint64_t side = static_cast<uint64_t>(model_.image.image_size);
  return tokens * static_cast<uint64_t>(model_.projector.hidden) * sizeof(float) + 3 * side * side;
}

std::shared_ptr<SharedPicture> SharedPictures::Find(Image pixels) {
  std::shared_ptr<SharedPicture> picture;
  const auto known = std::find_if(recent_.begin(), recent_.end(),
                                  [&](const auto& recent) { return recent->pixels.rgb == pixels.rgb; });
  if (known != recent_.end()) {
    picture = std::move(*known);
    picture->reused = true;
    recent_.erase(known);
  } else {
    picture = std::make_shared<SharedPicture>();
    picture->pixels = std::move(pixels);
    picture->tokens = picture->buffer.ReserveMat(static_cast<size_t>(model_.projector.tokens()),
                                                 static_cast<size_t>(model_.projector.hidden));
    picture->identity = {.low = ++made_, .high = 0};
  }
  recent_.insert(recent_.begin(), picture);
  while (!recent_.empty() && bytes() > budget_) recent_.pop_back();
  return picture;
}

}  // namespace mobilevlm::engine
