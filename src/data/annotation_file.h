// An annotation file of any size, opened through an index on disk.
//
// The first Open parses every sample once, in parallel, and writes FILE.index (or, where that directory
// cannot be written, a file in $XDG_CACHE_HOME/mobilevlm): one row of 32 bytes a sample. Later Opens map the
// index and only check that it belongs to the file: size, time of change and a hash of parts of the content.
// Neither holds the annotations in memory; a sample is read from the file when it is asked for.
//
// Thread contract: immutable after Open; concurrent Reads are fine, each with a reader of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "data/sample.h"

namespace mobilevlm::data {

// What the index holds of a sample. On disk, little-endian.
struct IndexRow {
  uint64_t offset = 0;  // of the object in the file
  uint32_t bytes = 0;
  uint32_t words = 0;         // Sample::words
  uint32_t answer_words = 0;  // Sample::answer_words
  uint16_t rounds = 0;        // questions
  uint16_t pictures = 0;
  uint16_t source = 0;  // AnnotationFile::source_names()
  uint16_t kind = 0;    // AnnotationFile::kind_names()
  Defect defect = Defect::kNone;
  uint8_t notes = 0;
  uint8_t unused[2] = {};

  // The official sampler's length: negative without a picture.
  int32_t length() const {
    const auto magnitude = static_cast<int32_t>(words > 0 ? words : 1);
    return pictures > 0 ? magnitude : -magnitude;
  }
};
static_assert(sizeof(IndexRow) == 32);

struct OpenOptions {
  int threads = 0;                            // for indexing; 0: one per CPU
  bool progress = false;                      // a line on standard error while indexing
  const std::atomic<bool>* cancel = nullptr;  // true ends the indexing with an Error; nothing is left behind
  std::string cache_directory = {};           // where the index goes; empty: see above
};

// Where a file that belongs to an annotation file stands: beside it ("FILE.pictures"), or in the cache
// directory if that directory cannot be written.
std::string CompanionPath(const std::string& annotations, const std::string& suffix);

// Buffers of one reading thread.
struct SampleReader {
  SampleParser parser;
  std::string buffer;
};

class AnnotationFile {
 public:
  // Malformed JSON is an Error with file and byte; samples with a defect are in the index.
  static Result<AnnotationFile> Open(const std::string& path, const OpenOptions& options = {});
  AnnotationFile(AnnotationFile&&) noexcept;
  AnnotationFile& operator=(AnnotationFile&&) noexcept;
  ~AnnotationFile();

  const std::string& path() const;
  std::span<const IndexRow> rows() const;
  // Where samples come from: the first directory of the picture's path; "text only" without a picture.
  const std::vector<std::string>& source_names() const;
  // The kinds of question: the sample's own "kind", else what QuestionKind makes of it.
  const std::vector<std::string>& kind_names() const;
  // The hash of the parts of the content that recognise it.
  uint64_t fingerprint() const;
  bool indexed_now() const;  // Open built the index

  Result<Sample> Read(size_t row, SampleReader& reader) const;
  // The sample's JSON text, in the reader's buffer until its next use.
  Result<std::string_view> ReadText(size_t row, SampleReader& reader) const;
  // "FILE: sample 17 (id a1)", counted from 1.
  std::string NameOf(size_t row, const Sample* sample = nullptr) const;

 private:
  struct Data;
  explicit AnnotationFile(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

}  // namespace mobilevlm::data
