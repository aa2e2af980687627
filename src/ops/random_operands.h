// Random matrices in every format a file may have, packed as loading would: operands of tests and benchmarks.
#pragma once

#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "base/random.h"
#include "ops/float_panels.h"
#include "ops/linear.h"
#include "ops/pack_weights.h"
#include "tensor/dequantize.h"
#include "tensor/dtype.h"
#include "tensor/half.h"

namespace mobilevlm::test {

inline std::vector<float> RandomFloats(size_t n, uint64_t seed, double low = -1, double high = 1) {
  Random random(seed);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(random.Uniform(low, high));
  return values;
}

inline Mat<float> View(std::vector<float>& values, size_t rows) {
  return {values.data(), rows, rows == 0 ? 0 : values.size() / rows};
}
inline Mat<const float> View(const std::vector<float>& values, size_t rows) {
  return {values.data(), rows, rows == 0 ? 0 : values.size() / rows};
}

inline constexpr DType kQuantisedTypes[] = {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                                            DType::kQ8_0, DType::kQ2_K, DType::kQ3_K, DType::kQ4_K,
                                            DType::kQ5_K, DType::kQ6_K};

// A matrix in a file's format beside the exact doubles that it stands for once it is packed, as loading
// would, if it is quantised. Starts two bytes off the buffer's alignment, as tensors in a file may. `packed`
// holds the view's packed form or its panels.
struct TestWeights {
  std::vector<std::byte> storage, packed;
  std::vector<double> exact;  // [out, in]
  LinearWeights view;
};

// Random blocks: random bytes, but for the halves, of which one or two open or close each block.
inline void FillBlocks(DType type, std::span<std::byte> bytes, Random& random) {
  const size_t size = GetDTypeInfo(type).block_bytes;
  const bool front = type != DType::kQ2_K && type != DType::kQ3_K && type != DType::kQ6_K;
  const bool two = type == DType::kQ4_1 || type == DType::kQ5_1 || type == DType::kQ2_K ||
                   type == DType::kQ4_K || type == DType::kQ5_K;
  for (size_t block = 0; block < bytes.size(); block += size) {
    for (size_t i = 0; i < size; ++i) bytes[block + i] = static_cast<std::byte>(random.Between(0, 255));
    for (size_t h = 0; h < (two ? 2u : 1u); ++h) {
      const f16_t half = F32ToF16(static_cast<float>(random.Uniform(0.001, 0.01)));
      std::memcpy(&bytes[block + (front ? 2 * h : size - 2 - 2 * h)], &half, sizeof(half));
    }
  }
}

// What units of kPackedLong stand for, [out, in].
inline std::vector<float> LongBlockValues(const std::vector<std::byte>& packed, size_t out, size_t in) {
  std::vector<float> values(out * in);
  const auto* units = reinterpret_cast<const PackedLong*>(packed.data());
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t o = i / in, k = i % in, lane = o % kPackedOutputs;
    const PackedLong& unit = units[o / kPackedOutputs * (in / kLongBlock) + k / kLongBlock];
    const int q = unit.quants[k % kLongBlock / 4][4 * lane + k % 4] - 128;
    values[i] = F16ToF32(unit.d[lane]) * static_cast<float>(q);
  }
  return values;
}

inline TestWeights RandomWeights(DType type, size_t out, size_t in, uint64_t seed,
                                 PackScales scales = PackScales::kAsStored) {
  Random random(seed);
  TestWeights made;
  const size_t row_bytes = RowBytes(type, in).value();
  made.storage.resize(2 + out * row_bytes);
  std::byte* bytes = made.storage.data() + 2;
  made.view = {.type = type, .data = bytes, .out = out, .in = in, .row_bytes = row_bytes};
  const std::optional<PackedFormat> format = FindPackedFormat(type, in, scales);
  if (format) {
    FillBlocks(type, {bytes, out * row_bytes}, random);
    made.packed.resize(PackedPanels(out) * PanelBytes(*format, in));
    PackPanels(*format, bytes, row_bytes, out, in, 0, PackedPanels(out), made.packed.data());
    made.view.packed = made.packed.data();
    made.view.format = *format;
  } else {
    for (size_t i = 0; i < out * in; ++i) {
      const float value = static_cast<float>(random.Uniform(-1, 1));
      const uint16_t half = type == DType::kF16 ? F32ToF16(value) : F32ToBf16(value);
      if (type == DType::kF32) std::memcpy(bytes + 4 * i, &value, 4);
      if (type != DType::kF32) std::memcpy(bytes + 2 * i, &half, 2);
    }
  }
  std::vector<float> values(out * in);
  for (size_t o = 0; o < out; ++o) Dequantize(type, bytes + o * row_bytes, in, values.data() + o * in);
  if (format == kPackedLong) values = LongBlockValues(made.packed, out, in);
  made.exact.assign(values.begin(), values.end());
  return made;
}

// Float weights: packs them as the language model does.
inline void AddPanels(TestWeights& w) {
  const size_t panels = FloatPanels(w.view.out);
  w.packed.resize(panels * w.view.in * FloatPanelStep(w.view.type));
  PackFloatPanels(w.view.type, w.view.data, w.view.row_bytes, w.view.out, w.view.in, 0, panels,
                  w.packed.data());
  w.view.panels = w.packed.data();
}

}  // namespace mobilevlm::test
