// PictureCache: the visual tokens of the last few pictures, so that a picture asked about again goes neither
// through the decoder nor through the tower. Pictures are recognised by content, not by name.
//
// Thread contract: belongs to one conversation.
#pragma once

#include <memory>
#include <vector>

#include "base/content_hash.h"
#include "base/result.h"
#include "engine/pipeline.h"
#include "image/image.h"
#include "mobilevlm/mobilevlm.h"
#include "tensor/mat.h"

namespace mobilevlm::engine {

// What the tower made of a picture.
struct EncodedPicture {
  Hash128 source;  // PictureBytes::Hash of the bytes it was last seen in
  Hash128 pixels;  // as the model sees it, [S, S, 3]: equal pixels mean equal tokens
  AlignedBuffer<float> buffer;
  Mat<float> tokens;  // [visual tokens, hidden]
};

class PictureCache {
 public:
  using Pointer = std::shared_ptr<const EncodedPicture>;

  // A picture that has been read and checked: known already, or preprocessed pixels.
  struct Loaded {
    Hash128 source;
    std::shared_ptr<EncodedPicture> known;
    Image pixels;
  };

  // All that can fail. Nothing is decoded if the bytes are known.
  Result<Loaded> Load(const Pipeline& pipeline, const Picture& picture) const;

  // The visual tokens; runs the tower, and counts that in stats.images, unless the pixels are known.
  Pointer Encode(Pipeline& pipeline, Loaded loaded, Stats& stats);

 private:
  std::vector<std::shared_ptr<EncodedPicture>> recent_;  // the latest first
};

}  // namespace mobilevlm::engine
