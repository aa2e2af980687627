// SharedPictures: the visual tokens of pictures that several requests may ask about, within a budget of
// bytes.
//
// The requests come from strangers, so a picture is recognised by comparing its pixels, never by a hash that
// one of them could have forged, and what it is called in prompts is a number that occurs once.
//
// Thread contract: belongs to one batch.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/layout.h"
#include "engine/pipeline.h"
#include "image/image.h"

namespace mobilevlm::engine {

struct SharedPicture {
  Image pixels;  // as the model sees them, [S, S, 3]
  AlignedBuffer<float> buffer;
  Mat<float> tokens;  // [visual tokens, hidden]; valid when done
  Hash128 identity;
  std::unique_ptr<PictureProgress> progress;  // while it is being encoded
  bool done = false;
  bool reused = false;  // asked about a second time

  PictureRows rows() const { return {tokens, identity}; }
  // Runs up to `blocks` blocks of the tower. True when the tokens are there.
  bool Advance(Pipeline& pipeline, size_t blocks);
};

class SharedPictures {
 public:
  SharedPictures(const LoadedModel& model, uint64_t budget) : model_(model), budget_(budget) {}

  // The picture with these pixels: one that is known, possibly half encoded, or a new one. The owner of the
  // pointer may use it for as long as he likes, whether or not it is still kept here.
  std::shared_ptr<SharedPicture> Find(Image pixels);

  uint64_t bytes() const { return bytes_per_picture() * recent_.size(); }

 private:
  uint64_t bytes_per_picture() const;

  const LoadedModel& model_;
  const uint64_t budget_;
  uint64_t made_ = 0;
  std::vector<std::shared_ptr<SharedPicture>> recent_;  // the latest first
};

}  // namespace mobilevlm::engine
