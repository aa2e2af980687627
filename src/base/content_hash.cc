#include "base/content_hash.h"

#include <fmt/format.h>
#include <xxhash.h>

namespace mobilevlm {

Hash128 HashBytes(const void* data, size_t size) {
  const XXH128_hash_t hash = XXH3_128bits(data, size);
  return {.low = hash.low64, .high = hash.high64};
}

std::string ToHex(const Hash128& hash) { return fmt::format("{:016x}{:016x}", hash.high, hash.low); }

}  // namespace mobilevlm
