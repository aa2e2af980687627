// Arbitrary bytes as a torch .bin (zip and pickle), and the same bytes as a pickle alone: what parses can be
// read.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "checkpoint/pickle.h"
#include "checkpoint/torch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mobilevlm;
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  constexpr std::string_view kGlobals[] = {"collections.OrderedDict", "torch._utils._rebuild_tensor_v2"};
  (void)Pickle::Parse(bytes, kGlobals);
  const auto file = TorchFile::Parse(bytes, "fuzz");
  if (!file) return 0;
  float sum = 0;
  for (const NamedTensor& tensor : file->tensors()) {
    constexpr uint64_t kMost = 4096;
    const uint64_t elements = tensor.elements();
    const size_t count = std::min(elements, kMost);
    std::vector<float> values(count);
    ReadElements(tensor, 0, count, values.data());
    ReadElements(tensor, elements - count, count, values.data());  // the last ones, too
    if (count > 0) sum += values.back();
  }
  volatile float sink = sum;
  (void)sink;
  return 0;
}
