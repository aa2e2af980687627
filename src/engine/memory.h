// What memory the machine can give, asked before anything large is allocated.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "mobilevlm/mobilevlm.h"

namespace mobilevlm::engine {

// Bytes that can be had now without swapping: the least of the kernel's MemAvailable, what the control
// group (container) still allows, and what RLIMIT_AS leaves. UINT64_MAX if the system tells none of them.
uint64_t AvailableMemory();

// The value of a "Name:   123 kB" line of /proc/meminfo or /proc/self/status in bytes; 0 if it is not there.
uint64_t ParseKilobyteLine(const std::string& text, const std::string& name);

// An Error if `need` exceeds `limit` bytes (0: AvailableMemory()); it names the parts and the way out.
Status CheckMemory(const MemoryNeed& need, uint64_t limit);

}  // namespace mobilevlm::engine
