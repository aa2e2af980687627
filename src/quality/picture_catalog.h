// The hashes of all pictures that annotations name, each computed once.
//
// They are kept in FILE.pictures beside the first annotation file (or in $XDG_CACHE_HOME/mobilevlm), appended
// while the work goes on, so that a run that was cut short continues where it stopped. A picture is known by
// its absolute path, size and time of change. While another process writes the file, it is only read. About
// 100 bytes of memory a picture.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/dataset.h"
#include "quality/flat_table.h"
#include "quality/picture_hash.h"
#include "quality/scan.h"

namespace mobilevlm::quality {

// A picture that cannot be used, and a sample that names it.
struct BadPicture {
  uint32_t sample = 0;
  bool missing = false;  // else it cannot be decoded
  std::string reason;
};

struct CatalogReport {
  uint64_t pictures = 0;  // different ones that are fine
  uint64_t hashed = 0;    // of these, read now
  uint64_t missing = 0, broken = 0;
  uint64_t bad_samples = 0;  // samples with at least one picture missing or broken
  // One a sample, in the order of the samples; the first kListed of them.
  static constexpr size_t kListed = 100'000;
  std::vector<BadPicture> bad;
};

class PictureCatalog {
 public:
  PictureCatalog();
  // Reads every picture of the dataset that is not known yet. If none of the first thousand can be read, the
  // image root is wrong: an Error.
  Status Fill(const data::Dataset& dataset, const Work& work, CatalogReport& report);

  // The number of a picture by its path; FlatTable::kNone if no Fill of this catalogue found it usable.
  uint32_t Find(std::string_view path) const;
  const PictureHash& hash(uint32_t picture) const { return hashes_[picture]; }
  // Numbers are below it. Some of them are pictures of earlier runs, which are not `found`.
  size_t size() const { return hashes_.size(); }
  bool found(uint32_t picture) const { return found_[picture] != 0; }

 private:
  struct Entry;  // as on disk
  uint64_t Load(std::FILE* file);
  uint64_t KeyOf(std::string_view path) const;
  uint32_t NumberOf(uint64_t key);

  std::string directory_;  // that paths are relative to
  FlatTable numbers_;      // by the key of the path
  std::vector<PictureHash> hashes_;
  std::vector<uint64_t> stamps_;  // of size and time of change
  std::vector<uint32_t> found_;   // the last Fill that found it usable, counted from 1
  uint32_t fills_ = 0;
};

}  // namespace mobilevlm::quality
