// The zip files that torch.save writes: entries stored as they are, zip64 where they are large.
//
// Nothing is unpacked, so nothing can explode: a compressed or encrypted entry is an Error, and what is not
// compressed is no larger than the file. Entries may not overlap each other, and every size and offset is
// checked against the file. Checksums are not: tensors would have to be read twice.
//
// Specification: APPNOTE.TXT of PKWARE
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace mobilevlm {

struct ZipEntry {
  std::string name;
  std::span<const std::byte> data;
};

class ZipArchive {
 public:
  // Whether `bytes` begin as a zip file does.
  static bool Recognise(std::span<const std::byte> bytes);

  // Of memory that outlives the result; `name` stands in messages for the file.
  static Result<ZipArchive> Parse(std::span<const std::byte> bytes, const std::string& name);

  const std::vector<ZipEntry>& entries() const { return entries_; }  // as the directory lists them
  const ZipEntry* Find(std::string_view name) const;

 private:
  friend class ZipParser;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace mobilevlm
