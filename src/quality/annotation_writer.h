// Writes samples of a dataset into a new annotation file: a JSON list, one sample a line, atomically.
#pragma once

#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "data/dataset.h"

namespace mobilevlm::quality {

class AnnotationWriter {
 public:
  // Where all files were opened with one explicit image root, or all pictures are found from the new file's
  // directory by the paths they have, samples keep their JSON text as it is; else their pictures' paths are
  // rewritten to be relative to that directory.
  static Result<AnnotationWriter> Create(const std::string& path, const data::Dataset& dataset);

  Status Add(uint32_t sample);
  Status Commit();
  uint64_t written() const { return written_; }

 private:
  AnnotationWriter(AtomicFile file, const data::Dataset& dataset, std::string directory, bool rewrite);

  AtomicFile file_;
  const data::Dataset* dataset_;
  std::string directory_;  // of the new file
  bool rewrite_;
  data::SampleReader reader_;
  data::SampleParser parser_;
  std::string buffer_;
  uint64_t written_ = 0;
};

}  // namespace mobilevlm::quality
