#include "train/runlog/event_file.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace mobilevlm::train {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;  // Castagnoli, bits reversed
constexpr uint32_t kMaskDelta = 0xA282EAD8;

constexpr std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? kPolynomial : 0);
    table[i] = value;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kTable = MakeTable();

template <class T>
std::string Bytes(T value) {
  static_assert(std::endian::native == std::endian::little);
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

// Protocol buffers' wire format.
std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
enum WireType : uint64_t { kVarint = 0, kFixed64 = 1, kDelimited = 2, kFixed32 = 5 };
std::string Key(uint64_t field, WireType type) { return Varint(field << 3 | type); }
std::string Delimited(uint64_t field, std::string_view bytes) {
  return Key(field, kDelimited) + Varint(bytes.size()) + std::string(bytes);
}

std::string EventHead(int64_t step, double wall_time) {
  return Key(1, kFixed64) + Bytes(wall_time) + Key(2, kVarint) + Varint(static_cast<uint64_t>(step));
}

}  // namespace

uint32_t Crc32c(std::string_view bytes) {
  uint32_t crc = ~uint32_t{0};
  for (const char c : bytes) crc = kTable[(crc ^ static_cast<unsigned char>(c)) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

uint32_t MaskedCrc32c(std::string_view bytes) {
  const uint32_t crc = Crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + kMaskDelta;
}

Result<EventFile> EventFile::Create(const std::string& directory, int64_t first_step, double wall_time) {
  char host[256] = "localhost";
  ::gethostname(host, sizeof(host) - 1);
  const std::string path = fmt::format("{}/events.out.tfevents.{:.0f}.{}.{}.{}", directory, wall_time, host,
                                       ::getpid(), first_step);
  File file(std::fopen(path.c_str(), "wb"), &std::fclose);
  if (!file) return Fail("{}: cannot create: {}", path, std::strerror(errno));
  EventFile events(path, std::move(file));
  MVLM_TRY(events.Append(Key(1, kFixed64) + Bytes(wall_time) + Delimited(3, "brain.Event:2")));
  const std::string start = Key(1, kVarint) + Varint(1);
  MVLM_TRY(events.Append(EventHead(first_step + 1, wall_time) + Delimited(7, start)));
  return events;
}

Status EventFile::Write(int64_t step, double wall_time,
                        std::span<const std::pair<std::string, double>> scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars) {
    summary += Delimited(1, Delimited(1, tag) + Key(2, kFixed32) + Bytes(static_cast<float>(value)));
  }
  return Append(EventHead(step, wall_time) + Delimited(5, summary));
}

Status EventFile::Append(std::string_view event) {
  const std::string length = Bytes(static_cast<uint64_t>(event.size()));
  const std::string record =
      length + Bytes(MaskedCrc32c(length)) + std::string(event) + Bytes(MaskedCrc32c(event));
  if (std::fwrite(record.data(), 1, record.size(), file_.get()) != record.size() ||
      std::fflush(file_.get()) != 0) {
    return Fail("{}: cannot write: {}", path_, std::strerror(errno));
  }
  return {};
}

}  // namespace mobilevlm::train
