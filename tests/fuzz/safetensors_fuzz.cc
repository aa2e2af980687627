// Arbitrary bytes through the safetensors reader, and the same bytes as a config.json.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "checkpoint/safetensors.h"
#include "schema/read_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mobilevlm;
  (void)ParseHfConfig(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
  const auto file = SafetensorsFile::Parse(std::as_bytes(std::span(data, size)), "fuzz");
  if (!file) return 0;
  unsigned sum = 0;
  for (const NamedTensor& tensor : file->tensors()) {
    if (file->Find(tensor.name) != &tensor) __builtin_trap();
    if (!tensor.data.empty()) sum += static_cast<unsigned>(tensor.data.back());
  }
  volatile unsigned sink = sum;
  (void)sink;
  return 0;
}
