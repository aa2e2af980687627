// ByteCursor: reads little-endian values from untrusted bytes and never past their end.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace mobilevlm {

static_assert(std::endian::native == std::endian::little, "GGUF is read in place: little-endian hosts only");

class ByteCursor {
 public:
  explicit ByteCursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  size_t position() const { return position_; }
  size_t left() const { return bytes_.size() - position_; }

  // nullopt, and nothing consumed, if fewer bytes are left.
  template <class T>
  std::optional<T> Read() {
    if (left() < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }
  std::optional<std::span<const std::byte>> Take(uint64_t size) {
    if (size > left()) return std::nullopt;
    const auto taken = bytes_.subspan(position_, static_cast<size_t>(size));
    position_ += taken.size();
    return taken;
  }
  // u64 length + bytes.
  std::optional<std::string_view> ReadString() {
    const size_t start = position_;
    if (const auto length = Read<uint64_t>()) {
      if (const auto text = Take(*length)) {
        return std::string_view(reinterpret_cast<const char*>(text->data()), text->size());
      }
    }
    position_ = start;
    return std::nullopt;
  }

 private:
  std::span<const std::byte> bytes_;
  size_t position_ = 0;
};

}  // namespace mobilevlm
