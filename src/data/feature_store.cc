#include "data/feature_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/directories.h"

namespace mobilevlm::data {
namespace {

// On disk, in the order of the records.
struct Key {
  Hash128 picture;
  Hash128 record;  // hash of the halves
};
static_assert(sizeof(Key) == 32);

struct KeyHash {
  size_t operator()(const Hash128& hash) const { return static_cast<size_t>(hash.low); }
};

constexpr int kMostShards = 4096;

class File {
 public:
  File() = default;
  explicit File(int fd) : fd_(fd) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }
  uint64_t size() const {
    struct stat info {};
    return ::fstat(fd_, &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
  }

 private:
  int fd_ = -1;
};

bool ReadAt(int fd, uint64_t offset, void* out, size_t size) {
  auto* bytes = static_cast<char*>(out);
  while (size > 0) {
    const ssize_t n = ::pread(fd, bytes, size, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes += n;
    offset += static_cast<uint64_t>(n);
    size -= static_cast<size_t>(n);
  }
  return true;
}

bool WriteAt(int fd, uint64_t offset, const void* data, size_t size) {
  const auto* bytes = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t n = ::pwrite(fd, bytes, size, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes += n;
    offset += static_cast<uint64_t>(n);
    size -= static_cast<size_t>(n);
  }
  return true;
}

}  // namespace

struct FeatureStore::Data {
  struct Place {
    uint32_t shard = 0;
    uint32_t record = 0;
    Hash128 hash;
  };
  struct Shard {
    File records, keys;
    uint32_t count = 0;
  };

  std::string name;  // directory and tag
  size_t elements = 0;
  size_t record_bytes() const { return elements * sizeof(uint16_t); }
  std::vector<Shard> shards;
  size_t own = 0;  // the shard that this process writes
  mutable std::mutex mutex;
  // A damaged record and the one that was made in its stead have one key.
  std::unordered_multimap<Hash128, Place, KeyHash> places;

  std::string Path(size_t shard, const char* suffix) const {
    return fmt::format("{}-{}.{}", name, shard, suffix);
  }

  // Takes over what the shard's files hold, as far as it is whole.
  void ReadKeys(uint32_t number) {
    Shard& shard = shards[number];
    const uint64_t whole = std::min(shard.keys.size() / sizeof(Key), shard.records.size() / record_bytes());
    shard.count = static_cast<uint32_t>(whole);
    std::vector<Key> keys(whole);
    if (!ReadAt(shard.keys.fd(), 0, keys.data(), keys.size() * sizeof(Key))) keys.clear();
    for (uint32_t i = 0; i < keys.size(); ++i)
      places.emplace(keys[i].picture, Place{number, i, keys[i].record});
  }
};

Hash128 FeatureKey(const Image& prepared) {
  Hash128 hash = HashBytes(prepared.rgb.data(), prepared.rgb.size());
  hash.high ^= (static_cast<uint64_t>(prepared.width) << 32 | static_cast<uint32_t>(prepared.height)) *
               0x9E3779B97F4A7C15ull;
  return hash;
}

FeatureStore::FeatureStore(std::unique_ptr<Data> data) : data_(std::move(data)) {}
FeatureStore::FeatureStore(FeatureStore&&) noexcept = default;
FeatureStore& FeatureStore::operator=(FeatureStore&&) noexcept = default;
FeatureStore::~FeatureStore() = default;

Result<FeatureStore> FeatureStore::Open(const std::string& directory, const Hash128& tag, size_t elements) {
  MVLM_CHECK(elements > 0, "a record of nothing");
  MVLM_TRY(MakeDirectories(directory));
  auto data = std::make_unique<Data>();
  data->name = fmt::format("{}/{}", directory, ToHex(tag).substr(0, 16));
  data->elements = elements;
  bool found_own = false;
  // Shards are numbered without gaps; the first one that nobody has locked is ours to write, or a new one.
  for (int i = 0; i < kMostShards; ++i) {
    const std::string path = data->Path(data->shards.size(), "f16");
    const bool exists = ::access(path.c_str(), F_OK) == 0;
    if (!exists && found_own) break;
    Data::Shard shard;
    shard.records = File(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    shard.keys =
        File(::open(data->Path(data->shards.size(), "keys").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (shard.records.fd() < 0 || shard.keys.fd() < 0) {
      return Fail("{}: cannot open: {}", path, std::strerror(errno));
    }
    const bool ours = !found_own && ::flock(shard.keys.fd(), LOCK_EX | LOCK_NB) == 0;
    if (ours) data->own = data->shards.size();
    found_own = found_own || ours;
    data->shards.push_back(std::move(shard));
    data->ReadKeys(static_cast<uint32_t>(data->shards.size() - 1));
  }
  if (!found_own) return Fail("{}: {} processes write there already", data->name, kMostShards);
  return FeatureStore(std::move(data));
}

bool FeatureStore::Get(const Hash128& key, std::span<uint16_t> halves) const {
  MVLM_CHECK(halves.size() == data_->elements, "{} of {} elements", halves.size(), data_->elements);
  std::vector<Data::Place> places;
  {
    const std::lock_guard lock(data_->mutex);
    const auto [begin, end] = data_->places.equal_range(key);
    for (auto it = begin; it != end; ++it) places.push_back(it->second);
  }
  for (const Data::Place& place : places) {
    const uint64_t offset = uint64_t{place.record} * data_->record_bytes();
    if (ReadAt(data_->shards[place.shard].records.fd(), offset, halves.data(), halves.size_bytes()) &&
        HashBytes(halves.data(), halves.size_bytes()) == place.hash) {
      return true;
    }
  }
  // Damaged: forgotten, so that it can be put again.
  const std::lock_guard lock(data_->mutex);
  data_->places.erase(key);
  return false;
}

Status FeatureStore::Put(const Hash128& key, std::span<const uint16_t> halves) {
  MVLM_CHECK(halves.size() == data_->elements, "{} of {} elements", halves.size(), data_->elements);
  const Key entry{key, HashBytes(halves.data(), halves.size_bytes())};
  const std::lock_guard lock(data_->mutex);
  if (data_->places.contains(key)) return {};
  Data::Shard& shard = data_->shards[data_->own];
  // The key comes last: it makes the record count.
  const uint64_t offset = uint64_t{shard.count} * data_->record_bytes();
  if (!WriteAt(shard.records.fd(), offset, halves.data(), halves.size_bytes()) ||
      !WriteAt(shard.keys.fd(), uint64_t{shard.count} * sizeof(Key), &entry, sizeof(entry))) {
    return Fail("{}: cannot write: {}", data_->Path(data_->own, "f16"), std::strerror(errno));
  }
  data_->places.emplace(key, Data::Place{static_cast<uint32_t>(data_->own), shard.count, entry.record});
  ++shard.count;
  return {};
}

size_t FeatureStore::size() const {
  const std::lock_guard lock(data_->mutex);
  return data_->places.size();
}

}  // namespace mobilevlm::data
