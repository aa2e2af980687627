// Pictures recognised: the same pixels by a content hash, the same picture saved anew (another format, size
// or quality, a little brighter) by two perceptual hashes, the mean colour and the shape together.
#pragma once

#include <array>
#include <cstdint>

#include "base/content_hash.h"
#include "image/image.h"

namespace mobilevlm::quality {

// On disk in the picture catalogue.
struct PictureHash {
  Hash128 content;  // of size and pixels
  uint64_t frequency =
      0;                  // the 8 x 8 lowest frequencies of a 32 x 32 grey version, above their median or not
  uint64_t gradient = 0;  // of a 9 x 8 grey version, brighter to the right or not
  uint32_t width = 0, height = 0;
  std::array<uint8_t, 3> mean = {};  // colour
  uint8_t flat = 0;                  // 1: next to no structure; never near another picture
  uint8_t unused[4] = {};

  // `content` in one number, for tables.
  uint64_t key() const { return content.low ^ content.high * 31; }
};

PictureHash HashPicture(const Image& picture);

inline constexpr int kPictureDistance = 4;  // bits of `frequency` that may differ

// Whether two pictures look the same: at most `distance` bits of frequency and twice as many of gradient
// differ, the mean colours by at most 12 of 255, the aspect ratios by at most 8 %.
bool LookTheSame(const PictureHash& a, const PictureHash& b, int distance = kPictureDistance);

}  // namespace mobilevlm::quality
