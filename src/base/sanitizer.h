#pragma once

namespace mobilevlm {

// Whether this is compiled for AddressSanitizer, under which some limits of the system mean something else.
#if defined(__SANITIZE_ADDRESS__)  // gcc
inline constexpr bool kAddressSanitizer = true;
#elif defined(__has_feature)  // clang
inline constexpr bool kAddressSanitizer = __has_feature(address_sanitizer);
#else
inline constexpr bool kAddressSanitizer = false;
#endif

}  // namespace mobilevlm
