// Zip files as torch.save writes them: entries stored as they are, each followed by its checksum and size,
// zip64 records where an offset or the number of entries needs them.
//
// Specification: APPNOTE.TXT of PKWARE, sections 4.3 and 4.5.3
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "base/result.h"

namespace mobilevlm {

class ZipWriter {
 public:
  using ByteSink = std::function<Status(std::span<const std::byte>)>;

  // Appends to `file`, which must be empty and outlive the writer; committing it is the caller's.
  explicit ZipWriter(AtomicFile& file) : file_(file) {}

  // The data begin at a multiple of 64 in the file, as PyTorch wants them for mapping. Entries must be
  // smaller than 4 GiB (else an Error); names must be unique.
  Status Add(std::string_view name, const std::function<Status(const ByteSink&)>& stream);
  Status Add(std::string_view name, std::string_view bytes);

  // The directory; nothing may be added afterwards.
  Status Finish();

 private:
  struct Entry {
    std::string name;
    uint64_t offset = 0;
    uint32_t checksum = 0;
    uint32_t size = 0;
  };

  AtomicFile& file_;
  std::vector<Entry> entries_;
};

}  // namespace mobilevlm
