#include "synth/zip_writer.h"

#include <zlib.h>

namespace mobilevlm {
namespace {

constexpr uint64_t kAlignment = 64;
constexpr uint32_t kTooLarge = 0xFFFFFFFF;  // stands where a zip64 record has the number
constexpr uint16_t kTooMany = 0xFFFF;
constexpr uint16_t kVersion = 20;     // stored entries
constexpr uint16_t kVersion64 = 45;   // zip64
constexpr uint16_t kSizesFollow = 8;  // flag: checksum and sizes stand behind the data
constexpr uint16_t kZip64Extra = 1;
constexpr uint16_t kPaddingExtra = 0x4246;  // "FB", PyTorch's

// Little-endian fields of the given types.
class Record {
 public:
  Record& U16(uint64_t value) { return Put(value, 2); }
  Record& U32(uint64_t value) { return Put(value, 4); }
  Record& U64(uint64_t value) { return Put(value, 8); }
  Record& Text(std::string_view text) {
    bytes_ += text;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  Record& Put(uint64_t value, int width) {
    for (int i = 0; i < width; ++i) bytes_ += static_cast<char>(value >> (8 * i) & 0xFF);
    return *this;
  }
  std::string bytes_;
};

}  // namespace

Status ZipWriter::Add(std::string_view name, const std::function<Status(const ByteSink&)>& stream) {
  constexpr uint64_t kHeader = 30, kExtraHeader = 4;
  Entry entry{.name = std::string(name), .offset = file_.bytes_written()};
  const uint64_t unpadded = entry.offset + kHeader + name.size() + kExtraHeader;
  const uint64_t padding = (kAlignment - unpadded % kAlignment) % kAlignment;
  Record header;
  header.U32(0x04034B50).U16(kVersion).U16(kSizesFollow).U16(0).U16(0).U16(0);  // stored; no date
  header.U32(0).U32(0).U32(0).U16(name.size()).U16(kExtraHeader + padding).Text(name);
  header.U16(kPaddingExtra).U16(padding).Text(std::string(padding, 'Z'));
  MVLM_TRY(file_.Write(header.bytes()));

  uint64_t size = 0;
  uLong checksum = crc32_z(0, nullptr, 0);
  MVLM_TRY(stream([&](std::span<const std::byte> bytes) -> Status {
    checksum = crc32_z(checksum, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
    size += bytes.size();
    return file_.Write(bytes.data(), bytes.size());
  }));
  if (size >= kTooLarge) return Fail("zip entry {}: {} bytes, wanted less than {}", name, size, kTooLarge);
  entry.checksum = static_cast<uint32_t>(checksum);
  entry.size = static_cast<uint32_t>(size);
  MVLM_TRY(file_.Write(Record().U32(0x08074B50).U32(entry.checksum).U32(size).U32(size).bytes()));
  entries_.push_back(std::move(entry));
  return {};
}

Status ZipWriter::Add(std::string_view name, std::string_view bytes) {
  return Add(name, [&](const ByteSink& sink) { return sink(std::as_bytes(std::span(bytes))); });
}

Status ZipWriter::Finish() {
  const uint64_t directory = file_.bytes_written();
  for (const Entry& entry : entries_) {
    const bool far = entry.offset >= kTooLarge;
    const uint16_t version = far ? kVersion64 : kVersion;
    Record record;
    record.U32(0x02014B50).U16(version).U16(version).U16(kSizesFollow).U16(0).U16(0).U16(0);
    record.U32(entry.checksum).U32(entry.size).U32(entry.size);
    record.U16(entry.name.size()).U16(far ? 12 : 0).U16(0).U16(0).U16(0).U32(0);
    record.U32(far ? kTooLarge : entry.offset).Text(entry.name);
    if (far) record.U16(kZip64Extra).U16(8).U64(entry.offset);
    MVLM_TRY(file_.Write(record.bytes()));
  }
  const uint64_t end = file_.bytes_written(), size = end - directory, count = entries_.size();
  const bool large = directory >= kTooLarge || size >= kTooLarge || count >= kTooMany;
  Record record;
  if (large) {
    record.U32(0x06064B50).U64(44).U16(kVersion64).U16(kVersion64).U32(0).U32(0);
    record.U64(count).U64(count).U64(size).U64(directory);
    record.U32(0x07064B50).U32(0).U64(end).U32(1);
  }
  const uint64_t short_count = large ? kTooMany : count;
  record.U32(0x06054B50).U16(0).U16(0).U16(short_count).U16(short_count);
  record.U32(large ? kTooLarge : size).U32(large ? kTooLarge : directory).U16(0);
  return file_.Write(record.bytes());
}

}  // namespace mobilevlm
