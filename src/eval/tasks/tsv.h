// Tab-separated files with a header, as pandas writes them: a cell that holds tabs, line ends or quotes
// stands in quotes, inside which a quote is doubled.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"

namespace mobilevlm::eval {

// Cells are views into the mapped file: large ones cost no memory until they are looked at.
class TsvFile {
 public:
  // An Error names the row whose number of cells differs from the header's.
  static Result<TsvFile> Open(const std::string& path);

  const std::vector<std::string>& columns() const { return columns_; }
  size_t rows() const { return rows_.size(); }
  // "FILE: row 12", counting from 1 behind the header.
  std::string Where(size_t row) const;

  // The raw bytes of a cell; empty if there is no such column. Valid as long as file().
  std::string_view Raw(size_t row, std::string_view column) const;
  // Without quotes.
  std::string Text(size_t row, std::string_view column) const;
  const std::shared_ptr<const MappedFile>& file() const { return file_; }

 private:
  std::shared_ptr<const MappedFile> file_;
  std::vector<std::string> columns_;
  std::vector<std::vector<std::string_view>> rows_;
};

}  // namespace mobilevlm::eval
