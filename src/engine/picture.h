// Pictures from outside -> pixels, in two steps: a picture whose bytes are known need not be decoded.
#pragma once

#include <string>

#include "base/content_hash.h"
#include "base/result.h"
#include "image/image.h"
#include "mobilevlm/mobilevlm.h"

namespace mobilevlm::engine {

// The bytes of a picture, not decoded yet. Keeps a pointer to the Picture it was read from.
class PictureBytes {
 public:
  // An Error names the file and why it cannot be read. `picture` must outlive the result.
  static Result<PictureBytes> Read(const Picture& picture);

  // Equal for pictures of equal bytes that are treated alike (ImageFit, EXIF): they have the same visual
  // tokens.
  Hash128 Hash() const;

  // Nothing is resized yet. An Error names the picture and what is wrong with it.
  Result<Image> Decode() const;

 private:
  explicit PictureBytes(const Picture& picture) : picture_(&picture) {}

  const Picture* picture_;
  std::string file_;  // of a Picture::Source::kFile
};

// Read and Decode.
Result<Image> LoadPicture(const Picture& picture);

}  // namespace mobilevlm::engine
