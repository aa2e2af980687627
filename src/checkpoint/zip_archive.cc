#include "checkpoint/zip_archive.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/checked_math.h"
#include "gguf/cursor.h"
#include "gguf/reader.h"

namespace mobilevlm {
namespace {

constexpr uint32_t kLocalHeader = 0x04034B50;  // "PK\3\4"
constexpr uint32_t kDirectoryEntry = 0x02014B50;
constexpr uint32_t kEnd = 0x06054B50;
constexpr uint32_t kZip64End = 0x06064B50;
constexpr uint32_t kZip64Locator = 0x07064B50;
constexpr size_t kEndBytes = 22;
constexpr size_t kLocatorBytes = 20;
constexpr size_t kLocalHeaderBytes = 30;
constexpr size_t kDirectoryEntryBytes = 46;
constexpr size_t kLongestComment = 0xFFFF;
constexpr uint16_t kZip64Extra = 1;
constexpr uint32_t kSee64 = 0xFFFFFFFF;  // the number stands in the zip64 extra field
constexpr uint16_t kEncrypted = 1;
constexpr uint16_t kStored = 0;

template <class T>
T At(std::span<const std::byte> bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

struct Directory {
  uint64_t entries = 0;
  uint64_t bytes = 0;
  uint64_t offset = 0;
};

// One entry of the central directory.
struct Listed {
  std::string name;
  uint16_t flags = 0;
  uint16_t method = 0;
  uint64_t packed = 0;
  uint64_t size = 0;
  uint64_t header = 0;  // offset of the local header
};

// Numbers too large for their 32 bits, in this order, each only if it is.
bool ReadZip64(std::span<const std::byte> extra, Listed& entry) {
  ByteCursor fields(extra);
  while (fields.left() >= 4) {
    const uint16_t id = *fields.Read<uint16_t>();
    const auto field = fields.Take(*fields.Read<uint16_t>());
    if (!field) return false;
    if (id != kZip64Extra) continue;
    ByteCursor numbers(*field);
    for (uint64_t* number : {&entry.size, &entry.packed, &entry.header}) {
      if (*number != kSee64) continue;
      const auto value = numbers.Read<uint64_t>();
      if (!value) return false;
      *number = *value;
    }
    return true;
  }
  return entry.size != kSee64 && entry.packed != kSee64 && entry.header != kSee64;
}

std::optional<Listed> ReadListed(ByteCursor& cursor) {
  const auto header = cursor.Take(kDirectoryEntryBytes);
  if (!header || At<uint32_t>(*header, 0) != kDirectoryEntry) return std::nullopt;
  Listed entry;
  entry.flags = At<uint16_t>(*header, 8);
  entry.method = At<uint16_t>(*header, 10);
  entry.packed = At<uint32_t>(*header, 20);
  entry.size = At<uint32_t>(*header, 24);
  entry.header = At<uint32_t>(*header, 42);
  const auto name = cursor.Take(At<uint16_t>(*header, 28));
  const auto extra = cursor.Take(At<uint16_t>(*header, 30));
  const auto comment = cursor.Take(At<uint16_t>(*header, 32));
  if (!name || !extra || !comment || !ReadZip64(*extra, entry)) return std::nullopt;
  entry.name.assign(reinterpret_cast<const char*>(name->data()), name->size());
  return entry;
}

}  // namespace

class ZipParser {
 public:
  ZipParser(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  Result<ZipArchive> Parse() {
    MVLM_ASSIGN(const Directory directory, FindDirectory());
    if (!RangeFits(directory.offset, directory.bytes, bytes_.size()) ||
        directory.entries > directory.bytes / kDirectoryEntryBytes) {
      return Fail("{}: the zip directory ({} entries, {} bytes at {}) does not fit into {} bytes: truncated?",
                  name_, directory.entries, directory.bytes, directory.offset, bytes_.size());
    }
    ByteCursor cursor(bytes_.subspan(directory.offset, directory.bytes));
    for (uint64_t i = 0; i < directory.entries; ++i) {
      const auto entry = ReadListed(cursor);
      if (!entry) return Fail("{}: entry {} of the zip directory is broken", name_, i);
      MVLM_TRY(Add(*entry));
    }
    MVLM_TRY(CheckOverlap());
    return std::move(archive_);
  }

 private:
  struct Range {
    uint64_t begin, end;
    size_t entry;
  };

  Result<Directory> FindDirectory() const {
    if (bytes_.size() < kEndBytes) return Fail("{}: {} bytes are no zip file", name_, bytes_.size());
    const size_t last = bytes_.size() - kEndBytes;
    const size_t first = last - std::min(last, kLongestComment);
    for (size_t at = last + 1; at-- > first;) {
      if (At<uint32_t>(bytes_, at) == kEnd && At<uint16_t>(bytes_, at + 20) == last - at) {
        return ReadEnd(at);
      }
    }
    return Fail("{}: the zip directory at the end is missing: truncated?", name_);
  }

  Result<Directory> ReadEnd(size_t at) const {
    if (at >= kLocatorBytes && At<uint32_t>(bytes_, at - kLocatorBytes) == kZip64Locator) {
      return ReadZip64End(At<uint64_t>(bytes_, at - kLocatorBytes + 8));
    }
    return Directory{At<uint16_t>(bytes_, at + 10), At<uint32_t>(bytes_, at + 12),
                     At<uint32_t>(bytes_, at + 16)};
  }

  Result<Directory> ReadZip64End(uint64_t at) const {
    constexpr size_t kBytes = 56;
    if (!RangeFits(at, kBytes, bytes_.size()) || At<uint32_t>(bytes_, at) != kZip64End) {
      return Fail("{}: the zip64 directory should begin at {}, and does not", name_, at);
    }
    return Directory{At<uint64_t>(bytes_, at + 32), At<uint64_t>(bytes_, at + 40),
                     At<uint64_t>(bytes_, at + 48)};
  }

  Status Add(const Listed& entry) {
    const std::string shown = Printable(entry.name);
    if ((entry.flags & kEncrypted) != 0) return Fail("{}: zip entry {} is encrypted", name_, shown);
    if (entry.method != kStored || entry.packed != entry.size) {
      return Fail("{}: zip entry {} is compressed (method {}, {} bytes for {}); torch.save stores", name_,
                  shown, entry.method, entry.packed, entry.size);
    }
    if (!RangeFits(entry.header, kLocalHeaderBytes, bytes_.size()) ||
        At<uint32_t>(bytes_, entry.header) != kLocalHeader) {
      return Fail("{}: zip entry {} should begin at {}, and does not", name_, shown, entry.header);
    }
    const uint64_t begin = entry.header + kLocalHeaderBytes + At<uint16_t>(bytes_, entry.header + 26) +
                           At<uint16_t>(bytes_, entry.header + 28);
    if (!RangeFits(begin, entry.size, bytes_.size())) {
      return Fail("{}: zip entry {}: {} bytes at {} do not fit into {}: truncated?", name_, shown, entry.size,
                  begin, bytes_.size());
    }
    const size_t index = archive_.entries_.size();
    if (!archive_.index_.emplace(entry.name, index).second) {
      return Fail("{}: zip entry {} appears twice", name_, shown);
    }
    archive_.entries_.push_back({entry.name, bytes_.subspan(begin, entry.size)});
    ranges_.push_back({entry.header, begin + entry.size, index});
    return {};
  }

  Status CheckOverlap() {
    std::sort(ranges_.begin(), ranges_.end(),
              [](const Range& a, const Range& b) { return a.begin < b.begin; });
    for (size_t i = 1; i < ranges_.size(); ++i) {
      if (ranges_[i].begin >= ranges_[i - 1].end) continue;
      return Fail("{}: zip entries {} and {} overlap", name_, NameOf(ranges_[i - 1]), NameOf(ranges_[i]));
    }
    return {};
  }

  std::string NameOf(const Range& range) const { return Printable(archive_.entries_[range.entry].name); }

  std::span<const std::byte> bytes_;
  std::string name_;
  ZipArchive archive_;
  std::vector<Range> ranges_;
};

bool ZipArchive::Recognise(std::span<const std::byte> bytes) {
  return bytes.size() >= sizeof(uint32_t) && At<uint32_t>(bytes, 0) == kLocalHeader;
}

Result<ZipArchive> ZipArchive::Parse(std::span<const std::byte> bytes, const std::string& name) {
  return ZipParser(bytes, name).Parse();
}

const ZipEntry* ZipArchive::Find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &entries_[found->second];
}

}  // namespace mobilevlm
