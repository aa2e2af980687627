// Quantities as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace mobilevlm {

// "45 s", "3 min 20 s", "2 h 5 min".
std::string FormatDuration(double seconds);

// "512 bytes", "37 KiB", "512 MiB", "1.4 GiB", "2.0 TiB".
std::string FormatBytes(uint64_t bytes);

}  // namespace mobilevlm
