#include "quality/picture_catalog.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/mapped_file.h"
#include "image/decode.h"
#include "quality/text_hash.h"

namespace mobilevlm::quality {

// One record of the file, 72 bytes.
struct PictureCatalog::Entry {
  uint64_t key = 0;    // hash of the path
  uint64_t stamp = 0;  // hash of size and time of change
  PictureHash hash;
  uint64_t check = 0;  // hash of the fields above and of the layout's version

  static constexpr uint64_t kVersion = 1;
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
  BadPicture reason;
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

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

}  // namespace

void PictureCatalog::Load(const std::string& path) {
  static_assert(sizeof(Entry) == 72);
  auto file = MappedFile::Open(path);
  if (!file) return;
  const std::span<const std::byte> bytes = file->bytes();
  size_t whole = 0;
  for (; whole + sizeof(Entry) <= bytes.size(); whole += sizeof(Entry)) {
    Entry entry;
    std::memcpy(static_cast<void*>(&entry), bytes.data() + whole, sizeof(entry));
    if (entry.check != entry.Check()) break;
    uint32_t& number = numbers_.At(entry.key, static_cast<uint32_t>(hashes_.size()));
    if (number == hashes_.size()) {
      hashes_.emplace_back();
      stamps_.emplace_back();
    }
    hashes_[number] = entry.hash;
    stamps_[number] = entry.stamp;
  }
  // What a cut or a crash left half-written goes, so that what is appended can be read.
  if (whole < bytes.size()) (void)::truncate(path.c_str(), static_cast<off_t>(whole));
}

uint32_t PictureCatalog::Find(std::string_view path) const { return numbers_.Find(HashText(path)); }

Status PictureCatalog::Fill(const data::Dataset& dataset, const Work& work, CatalogReport& report) {
  const std::string path = data::CompanionPath(dataset.files().front().path(), ".pictures");
  Load(path);
  const File log(std::fopen(path.c_str(), "ab"));
  if (!log) return Fail("{}: cannot append: {}", path, std::strerror(errno));
  FlatTable good;
  const auto look = [&](uint32_t s, const data::Sample& sample, size_t) {
    Looked looked;
    for (const std::string& image : sample.images) {
      const std::string file = dataset.PicturePath(s, image);
      Looked::Picture picture;
      picture.key = HashText(file);
      if (!StampOf(file, picture.stamp)) {
        looked.bad = true;
        looked.reason = {s, true, fmt::format("{}: no such picture", file)};
        break;
      }
      const uint32_t number = numbers_.Find(picture.key);
      if (number == FlatTable::kNone || stamps_[number] != picture.stamp) {
        const auto image_read = LoadImage(file);
        if (!image_read) {
          looked.bad = true;
          looked.reason = {s, false, image_read.error().message};
          break;
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
      good.At(picture.key, 0);
      if (!picture.is_new) continue;
      uint32_t& number = numbers_.At(picture.key, static_cast<uint32_t>(hashes_.size()));
      if (number == hashes_.size()) {
        hashes_.emplace_back();
        stamps_.emplace_back();
      } else if (stamps_[number] == picture.stamp) {
        continue;  // another sample of this batch has it, too
      }
      hashes_[number] = picture.hash;
      stamps_[number] = picture.stamp;
      ++report.hashed;
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
      if (good.size() == 0 && report.bad_samples >= kHopeless) {
        return Fail("{}; none of the first {} pictures can be read: is the directory of the pictures right?",
                    report.bad.front().reason, report.bad_samples);
      }
    }
    return {};
  };
  MVLM_TRY(ScanSamples<Looked>(dataset, work, "reading pictures", look, take));
  report.pictures += good.size();
  if (std::fflush(log.get()) != 0) return Fail("{}: cannot write: {}", path, std::strerror(errno));
  return {};
}

}  // namespace mobilevlm::quality
