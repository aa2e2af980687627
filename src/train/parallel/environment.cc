#include "train/parallel/environment.h"

#include <charconv>
#include <cstdlib>

namespace mobilevlm::train {
namespace {

constexpr int kMostProcesses = 1 << 20;

// The variable as a number in [least, most].
Result<int> Number(const EnvironmentLookup& lookup, const char* name, int least, int most) {
  const std::optional<std::string> text = lookup(name);
  if (!text) return Fail("{} is not set, but other variables say that this is one process of several", name);
  int value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value < least || value > most) {
    return Fail("{}: wanted a whole number from {} to {}, found '{}'", name, least, most, *text);
  }
  return value;
}

}  // namespace

Result<ProcessEnvironment> ReadProcessEnvironment(const EnvironmentLookup& lookup) {
  ProcessEnvironment result;
  if (!lookup("RANK") && !lookup("WORLD_SIZE")) return result;
  MVLM_ASSIGN(result.size, Number(lookup, "WORLD_SIZE", 1, kMostProcesses));
  MVLM_ASSIGN(result.rank, Number(lookup, "RANK", 0, result.size - 1));
  result.local_rank = result.rank;
  if (lookup("LOCAL_RANK")) {
    MVLM_ASSIGN(result.local_rank, Number(lookup, "LOCAL_RANK", 0, result.size - 1));
  }
  if (lookup("LOCAL_WORLD_SIZE")) {
    MVLM_ASSIGN(result.local_size, Number(lookup, "LOCAL_WORLD_SIZE", 1, result.size));
  }
  if (result.size == 1) return result;
  const std::optional<std::string> address = lookup("MASTER_ADDR");
  if (!address || address->empty()) {
    return Fail("MASTER_ADDR is not set: wanted the host name or address of rank 0's machine");
  }
  result.master_address = *address;
  MVLM_ASSIGN(const int port, Number(lookup, "MASTER_PORT", 1, 65535));
  result.master_port = static_cast<uint16_t>(port);
  return result;
}

Result<ProcessEnvironment> ReadProcessEnvironment() {
  return ReadProcessEnvironment([](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  });
}

}  // namespace mobilevlm::train
