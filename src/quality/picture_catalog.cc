#include "quality/picture_catalog.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

#include "image/decode.h"
#include "quality/text_hash.h"

namespace mobilevlm::quality {

// One record of the file, 72 bytes.
struct PictureCatalog::Entry {
  uint64_t key = 0;    // hash of the absolute path
  uint64_t stamp = 0;  // hash of size and time of change
  PictureHash hash;
  uint64_t check = 0;  // hash of the fields above and of the version

  static constexpr uint64_t kVersion = 2;  // counts every change of the layout or of the keys
  uint64_t Check() const {
    return HashText({reinterpret_cast<const char*>(this), offsetof(Entry, check)}, kVersion);
  }
};

namespace {

// What one sample's pictures are.
struct Looked {
  struct Picture {
    uint64_t key = 0, stamp = 0;
    bool is_new = false;
    PictureHash hash;
  };
  std::vector<Picture> pictures;
  bool bad = false;
  BadPicture reason;  // of the first one that is bad

  void SetBad(BadPicture picture) {
    if (!bad) reason = std::move(picture);
    bad = true;
  }
};

// The time of change and the size in one number; nothing if the file is not there.
bool StampOf(const std::string& path, uint64_t& stamp) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return false;
  const int64_t parts[3] = {info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
  stamp = HashText({reinterpret_cast<const char*>(parts), sizeof(parts)});
  return true;
}

constexpr uint64_t kHopeless = 1000;
constexpr uint64_t kBatchOfThread = 16;  // samples; a large picture takes 20 ms and more

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

}  // namespace

PictureCatalog::PictureCatalog() {
  std::error_code ignored;
  directory_ = std::filesystem::current_path(ignored).string();
}

// The same for every way to write a path.
uint64_t PictureCatalog::KeyOf(std::string_view path) const {
  return HashText((std::filesystem::path(directory_) / path).lexically_normal().string());
}

uint32_t PictureCatalog::NumberOf(uint64_t key) {
  const uint32_t number = numbers_.At(key, static_cast<uint32_t>(hashes_.size()));
  if (number == hashes_.size()) {
    hashes_.emplace_back();
    stamps_.emplace_back();
    found_.emplace_back();
  }
  return number;
}

// Takes over what the file holds; the bytes of its records up to the first one that is not whole.
uint64_t PictureCatalog::Load(std::FILE* file) {
  static_assert(sizeof(Entry) == 72);
  uint64_t whole = 0;
  for (Entry entry; std::fread(static_cast<void*>(&entry), sizeof(entry), 1, file) == 1;
       whole += sizeof(entry)) {
    if (entry.check != entry.Check()) break;
    const uint32_t number = NumberOf(entry.key);
    if (found(number)) continue;  // looked at by this process, which knows better
    hashes_[number] = entry.hash;
    stamps_[number] = entry.stamp;
  }
  return whole;
}

uint32_t PictureCatalog::Find(std::string_view path) const {
  const uint32_t number = numbers_.Find(KeyOf(path));
  return number != FlatTable::kNone && found(number) ? number : FlatTable::kNone;
}

Status PictureCatalog::Fill(const data::Dataset& dataset, const Work& work, CatalogReport& report) {
  const std::string path = data::CompanionPath(dataset.files().front().path(), ".pictures");
  const File log(std::fopen(path.c_str(), "a+b"));
  if (!log) return Fail("{}: cannot append: {}", path, std::strerror(errno));
  const int fd = ::fileno(log.get());
  const bool ours = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  const uint64_t whole = Load(log.get());
  if (std::ferror(log.get()) != 0) return Fail("{}: cannot read: {}", path, std::strerror(errno));
  // What a cut or a crash left half-written goes, so that what is appended can be read.
  if (ours && (::ftruncate(fd, static_cast<off_t>(whole)) != 0 || std::fseek(log.get(), 0, SEEK_END) != 0)) {
    return Fail("{}: cannot append: {}", path, std::strerror(errno));
  }
  ++fills_;
  const auto look = [&](uint32_t s, const data::Sample& sample, size_t) {
    Looked looked;
    for (const std::string& image : sample.images) {
      const std::string file = dataset.PicturePath(s, image);
      Looked::Picture picture;
      picture.key = KeyOf(file);
      if (!StampOf(file, picture.stamp)) {
        looked.SetBad({s, true, fmt::format("{}: no such picture", file)});
        continue;
      }
      const uint32_t number = numbers_.Find(picture.key);
      if (number == FlatTable::kNone || stamps_[number] != picture.stamp) {
        const auto image_read = LoadImage(file);
        if (!image_read) {
          looked.SetBad({s, false, image_read.error().message});
          continue;
        }
        picture.is_new = true;
        picture.hash = HashPicture(*image_read);
      }
      looked.pictures.push_back(picture);
    }
    return looked;
  };
  const auto take = [&](uint32_t, const Looked& looked) -> Status {
    for (const Looked::Picture& picture : looked.pictures) {
      const uint32_t number = NumberOf(picture.key);
      report.pictures += found_[number] != fills_;
      found_[number] = fills_;
      // Another sample of this batch may have it, too.
      if (!picture.is_new || stamps_[number] == picture.stamp) continue;
      hashes_[number] = picture.hash;
      stamps_[number] = picture.stamp;
      ++report.hashed;
      if (!ours) continue;
      Entry entry{.key = picture.key, .stamp = picture.stamp, .hash = picture.hash};
      entry.check = entry.Check();
      if (std::fwrite(&entry, sizeof(entry), 1, log.get()) != 1) {
        return Fail("{}: cannot write: {}", path, std::strerror(errno));
      }
    }
    if (looked.bad) {
      ++report.bad_samples;
      ++(looked.reason.missing ? report.missing : report.broken);
      if (report.bad.size() < CatalogReport::kListed) report.bad.push_back(looked.reason);
      if (report.pictures == 0 && report.bad_samples >= kHopeless) {
        return Fail("{}; none of the first {} pictures can be read: is the directory of the pictures right?",
                    report.bad.front().reason, report.bad_samples);
      }
    }
    return {};
  };
  const uint64_t batch = kBatchOfThread * static_cast<uint64_t>(work.pool.threads());
  MVLM_TRY(ScanSamples<Looked>(dataset, work, "reading pictures", look, take, batch));
  if (std::fflush(log.get()) != 0) return Fail("{}: cannot write: {}", path, std::strerror(errno));
  return {};
}

}  // namespace mobilevlm::quality
