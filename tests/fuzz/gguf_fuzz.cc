// Arbitrary bytes through the GGUF reader and the schema: any answer is fine, as long as it is an answer.
#include <cstddef>
#include <cstdint>
#include <span>

#include "gguf/reader.h"
#include "schema/read_config.h"
#include "schema/tensors.h"

namespace mobilevlm {
namespace {

void ReadEveryValue(const GgufFile& file) {
  for (const auto& [key, value] : file.metadata()) {
    (void)file.GetU32(key);
    (void)file.GetF32(key);
    (void)file.GetBool(key);
    (void)file.GetString(key);
    (void)file.GetStrings(key);
    (void)file.GetInts(key);
    (void)file.GetF32s(key);
  }
}

// The promise of the reader: what parsed lies inside the bytes.
void TouchEveryTensor(const GgufFile& file) {
  unsigned sum = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.data.empty()) __builtin_trap();
    sum += static_cast<unsigned>(tensor.data.front()) + static_cast<unsigned>(tensor.data.back());
    if (file.FindTensor(tensor.name) != &tensor) __builtin_trap();
  }
  volatile unsigned sink = sum;
  (void)sink;
}

}  // namespace
}  // namespace mobilevlm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mobilevlm;
  const auto file = GgufFile::Parse(std::as_bytes(std::span(data, size)), "fuzz");
  if (!file) return 0;
  ReadEveryValue(*file);
  TouchEveryTensor(*file);
  if (const auto config = ReadLlmConfig(*file); config && config->layers <= 64) {
    (void)TensorMap::Bind(*file, LlmTensors(*config));
  }
  (void)ReadImageConfig(*file);
  if (const auto specs = MmprojTensors(*file)) (void)TensorMap::Bind(*file, *specs);
  return 0;
}
