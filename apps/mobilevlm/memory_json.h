// How `run --json` and `inspect --json` tell memory.
#pragma once

#include <nlohmann/json.hpp>

#include "mobilevlm/mobilevlm.h"

namespace mobilevlm::app {

inline nlohmann::ordered_json MemoryJson(const MemoryNeed& need) {
  return {{"weights", need.weights},
          {"kv_cache", need.kv_cache},
          {"activations", need.activations},
          {"total", need.total()}};
}

}  // namespace mobilevlm::app
