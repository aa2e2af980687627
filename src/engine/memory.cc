#include "engine/memory.h"

#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "base/read_file.h"
#include "base/units.h"

namespace mobilevlm::engine {
namespace {

constexpr uint64_t kSmallFile = 1 << 16;

std::string ReadOrEmpty(const std::string& path) {
  return ReadFile(path, kSmallFile).value_or(std::string());
}

// "max" and a missing file mean: no limit.
std::optional<uint64_t> ReadNumber(const std::string& path) {
  const std::string text = ReadOrEmpty(path);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

// "name 123" in a control group's memory.stat, in bytes.
uint64_t StatLine(const std::string& text, const std::string& name) {
  return ParseKilobyteLine(text, name + " ") / 1024;
}

// What is left of the container's limit (control groups version 2). Page cache counts as used there but is
// given back on demand, so it must not speak against us.
uint64_t ControlGroupLeft() {
  const auto limit = ReadNumber("/sys/fs/cgroup/memory.max");
  const auto used = ReadNumber("/sys/fs/cgroup/memory.current");
  if (!limit || !used) return std::numeric_limits<uint64_t>::max();
  const uint64_t cache = StatLine(ReadOrEmpty("/sys/fs/cgroup/memory.stat"), "file");
  return *limit - std::min(*limit, *used - std::min(*used, cache));
}

uint64_t AddressSpaceLeft() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return std::numeric_limits<uint64_t>::max();
  }
  const uint64_t used = ParseKilobyteLine(ReadOrEmpty("/proc/self/status"), "VmSize:");
  return limit.rlim_cur - std::min<uint64_t>(limit.rlim_cur, used);
}

}  // namespace

uint64_t ParseKilobyteLine(const std::string& text, const std::string& name) {
  size_t at = text.find(name);
  while (at != std::string::npos && at != 0 && text[at - 1] != '\n') at = text.find(name, at + 1);
  if (at == std::string::npos) return 0;
  at = text.find_first_not_of(" \t", at + name.size());
  if (at == std::string::npos) return 0;
  uint64_t kilobytes = 0;
  std::from_chars(text.data() + at, text.data() + text.size(), kilobytes);
  return kilobytes * 1024;
}

uint64_t AvailableMemory() {
  const uint64_t meminfo = ParseKilobyteLine(ReadOrEmpty("/proc/meminfo"), "MemAvailable:");
  const uint64_t system = meminfo != 0 ? meminfo : std::numeric_limits<uint64_t>::max();
  return std::min({system, ControlGroupLeft(), AddressSpaceLeft()});
}

Status CheckMemory(const MemoryNeed& need, uint64_t limit) {
  const uint64_t available = limit != 0 ? limit : AvailableMemory();
  if (need.total() <= available) return {};
  return Fail(
      "needs {} of memory (weights {}, key-value cache {}, activations {}) but only {} is available; "
      "a smaller --ctx, --kv q8_0 or a smaller quantisation needs less",
      FormatBytes(need.total()), FormatBytes(need.weights), FormatBytes(need.kv_cache),
      FormatBytes(need.activations), FormatBytes(available));
}

}  // namespace mobilevlm::engine
