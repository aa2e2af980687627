#include "tensor/npy.h"

#include <charconv>
#include <cstring>
#include <string_view>

#include "base/atomic_file.h"
#include "base/check.h"
#include "base/checked_math.h"
#include "base/read_file.h"
#include "tensor/half.h"

namespace mobilevlm {
namespace {

constexpr std::string_view kMagic("\x93NUMPY\x01\x00", 8);

Status WriteArray(const std::string& path, std::string_view descr, std::span<const size_t> shape,
                  const void* data, size_t count, size_t item_bytes) {
  size_t product = 1;
  std::string dims;
  for (const size_t extent : shape) {
    product *= extent;
    dims += fmt::format("{},", extent);
  }
  MVLM_CHECK(product == count, "shape has {} elements, data {}", product, count);
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, dims);
  // magic (8) + length (2) + header + newline is a multiple of 64.
  header.append(63 - (kMagic.size() + 2 + header.size()) % 64, ' ');
  header += '\n';
  std::string bytes(kMagic);
  bytes += static_cast<char>(header.size() & 0xFF);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  MVLM_ASSIGN(auto file, AtomicFile::Create(path));
  MVLM_TRY(file.Write(bytes));
  MVLM_TRY(file.Write(data, count * item_bytes));
  return file.Commit();
}

// The text after `key` in the header's Python literal.
Result<std::string_view> After(std::string_view header, std::string_view key, const std::string& path) {
  const size_t at = header.find(key);
  if (at == std::string_view::npos) return Fail("{}: npy header lacks {}", path, key);
  return header.substr(at + key.size());
}

Result<std::vector<size_t>> ParseShape(std::string_view text, const std::string& path) {
  std::vector<size_t> shape;
  const size_t open = text.find('(');
  const size_t close = text.find(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) {
    return Fail("{}: npy header has no shape", path);
  }
  const char* p = text.data() + open + 1;
  const char* end = text.data() + close;
  while (p < end) {
    if (*p == ' ' || *p == ',') {
      ++p;
      continue;
    }
    size_t extent = 0;
    const auto [next, error] = std::from_chars(p, end, extent);
    if (error != std::errc()) return Fail("{}: npy shape is not a tuple of numbers", path);
    shape.push_back(extent);
    p = next;
  }
  return shape;
}

}  // namespace

Result<NpyArray> ReadNpy(const std::string& path) {
  MVLM_ASSIGN(const std::string bytes, ReadFile(path, uint64_t{1} << 32));
  if (bytes.size() < 10 || std::string_view(bytes).substr(0, 8) != kMagic) {
    return Fail("{}: wanted a version 1.0 .npy file", path);
  }
  const size_t length = static_cast<uint8_t>(bytes[8]) + 256u * static_cast<uint8_t>(bytes[9]);
  if (bytes.size() - 10 < length) return Fail("{}: npy header is truncated", path);
  const std::string_view header = std::string_view(bytes).substr(10, length);
  MVLM_ASSIGN(const std::string_view order, After(header, "'fortran_order': ", path));
  if (!order.starts_with("False")) return Fail("{}: wanted C order", path);
  MVLM_ASSIGN(std::string_view descr, After(header, "'descr': '", path));
  descr = descr.substr(0, descr.find('\''));
  MVLM_ASSIGN(const std::string_view shape_text, After(header, "'shape': ", path));
  NpyArray array;
  MVLM_ASSIGN(array.shape, ParseShape(shape_text, path));

  const size_t item = descr == "<f4" ? 4 : descr == "<f2" ? 2 : descr == "|u1" ? 1 : 0;
  if (item == 0) return Fail("{}: wanted <f4, <f2 or |u1, found {}", path, descr);
  std::optional<uint64_t> count = 1;
  for (const size_t extent : array.shape) {
    if (count) count = CheckedMul(*count, extent);
  }
  const std::string_view data = std::string_view(bytes).substr(10 + length);
  if (!count || data.size() / item != *count || data.size() % item != 0) {
    return Fail("{}: npy shape and data size disagree ({} bytes of data)", path, data.size());
  }
  array.values.resize(*count);
  for (size_t i = 0; i < *count; ++i) {
    if (item == 4) {
      std::memcpy(&array.values[i], data.data() + 4 * i, 4);
    } else if (item == 2) {
      uint16_t half;
      std::memcpy(&half, data.data() + 2 * i, 2);
      array.values[i] = F16ToF32(half);
    } else {
      array.values[i] = static_cast<uint8_t>(data[i]);
    }
  }
  return array;
}

Status WriteNpy(const std::string& path, std::span<const size_t> shape, std::span<const float> values) {
  return WriteArray(path, "<f4", shape, values.data(), values.size(), 4);
}

Status WriteNpy(const std::string& path, std::span<const size_t> shape, std::span<const uint8_t> values) {
  return WriteArray(path, "|u1", shape, values.data(), values.size(), 1);
}

}  // namespace mobilevlm
