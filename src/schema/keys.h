// The metadata keys of both files: which are required, the documented default of each optional one, and
// the range outside of which a number is absurd. The readers of read_config.h take rule and range from
// this table; `inspect` lists the keys that are not in it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gguf/reader.h"

namespace mobilevlm {

enum class KeyRule {
  kRequired,  // missing: the load stops
  kDefault,   // missing: `fallback`
  kDerived,   // missing: computed from other keys, as `note` says
  kNotUsed,   // known to the format; nothing here depends on it
};

struct KeySpec {
  std::string_view key;
  KeyRule rule;
  double least = 0;  // inclusive range of a number; unused for strings, arrays and flags
  double most = 0;
  double fallback = 0;  // kDefault only (flags: 0 or 1)
  std::string_view note;
};

std::span<const KeySpec> TextKeys();    // general.architecture = "llama"
std::span<const KeySpec> MmprojKeys();  // general.architecture = "clip"

// Keys under "general." are descriptive in both files and always known.
bool IsKnownKey(std::span<const KeySpec> keys, std::string_view key);

// Readers by table. An Error names file, key, wanted and found. The key must be in `keys`.
Result<int> ReadInt(const GgufFile& file, std::span<const KeySpec> keys, std::string_view key);
Result<float> ReadFloat(const GgufFile& file, std::span<const KeySpec> keys, std::string_view key);
Result<bool> ReadFlag(const GgufFile& file, std::span<const KeySpec> keys, std::string_view key);
// For kDerived keys: `derived` if the key is missing.
Result<int> ReadIntOr(const GgufFile& file, std::span<const KeySpec> keys, std::string_view key, int derived);

}  // namespace mobilevlm
