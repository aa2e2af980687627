// The index of an annotation file on disk: built, written, recognised, mapped. Used by AnnotationFile.
//
// Layout, little-endian: rows [samples] of 32 bytes, the names (u32 count, then u32 size and bytes each:
// sources, then kinds), and a footer with what the index belongs to and a checksum over everything.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "data/annotation_file.h"

namespace mobilevlm::data {

// What recognises an annotation file without reading all of it.
struct FileIdentity {
  uint64_t bytes = 0;
  int64_t changed_ns = 0;    // time of the last change
  uint64_t fingerprint = 0;  // XXH3 of the first and the last MiB and of 64 KiB at 62 places between
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};
Result<FileIdentity> IdentifyFile(const std::string& path);

struct AnnotationIndex {
  MappedFile file;
  std::span<const IndexRow> rows;  // in the mapping
  std::vector<std::string> sources;
  std::vector<std::string> kinds;
};

// The index in `path` if it is whole and belongs to `identity`.
std::optional<AnnotationIndex> OpenIndex(const std::string& path, const FileIdentity& identity);

// Parses `annotations` and writes its index to the first of `paths` where that is possible.
Status BuildIndex(const std::string& annotations, const FileIdentity& identity,
                  const std::vector<std::string>& paths, const OpenOptions& options);

}  // namespace mobilevlm::data
