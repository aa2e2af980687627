// Content hashes: equal content is recognised by 128 bits instead of being kept and compared (XXH3, fast but
// not cryptographic: two contents can be made to collide by someone who tries, so a hash may stand for
// content only where the one who chooses the contents can deceive nobody but himself).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace mobilevlm {

struct Hash128 {
  uint64_t low = 0, high = 0;
  friend bool operator==(const Hash128&, const Hash128&) = default;
};

// The same on every platform.
Hash128 HashBytes(const void* data, size_t size);

// 32 hexadecimal digits.
std::string ToHex(const Hash128& hash);

}  // namespace mobilevlm
