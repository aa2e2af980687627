#pragma once

#include <chrono>
#include <cstddef>

namespace mobilevlm::serve {

// How slow the other side of a connection may be.
struct ConnectionLimits {
  std::chrono::seconds idle{60};    // between requests
  std::chrono::seconds header{10};  // from the first byte of a request to the end of its header
  std::chrono::seconds body{60};    // from there to the end of the body
  std::chrono::seconds write{30};   // during which not one byte can be sent
  size_t header_bytes = 32 << 10;
};

}  // namespace mobilevlm::serve
