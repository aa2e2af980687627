#include "eval/tasks/tsv.h"

#include <algorithm>

#include "eval/metrics/python_text.h"

namespace mobilevlm::eval {
namespace {

// One cell at `at`, which moves to the tab, line end or file end behind it.
std::string_view ReadCell(std::string_view text, size_t& at) {
  const size_t begin = at;
  if (at < text.size() && text[at] == '"') {
    ++at;
    while (at < text.size() && (text[at] != '"' || (at + 1 < text.size() && text[at + 1] == '"'))) {
      at += text[at] == '"' ? 2 : 1;
    }
    at = std::min(at + 1, text.size());
  }
  while (at < text.size() && text[at] != '\t' && text[at] != '\n') ++at;
  std::string_view cell = text.substr(begin, at - begin);
  if (cell.ends_with('\r')) cell.remove_suffix(1);
  return cell;
}

std::vector<std::string_view> ReadRow(std::string_view text, size_t& at) {
  std::vector<std::string_view> cells;
  for (;; ++at) {
    cells.push_back(ReadCell(text, at));
    if (at >= text.size() || text[at] == '\n') break;
  }
  at = std::min(at + 1, text.size());
  return cells;
}

std::string Unquote(std::string_view cell) {
  if (cell.size() < 2 || cell.front() != '"' || cell.back() != '"') return std::string(cell);
  return Replace(cell.substr(1, cell.size() - 2), "\"\"", "\"");
}

}  // namespace

Result<TsvFile> TsvFile::Open(const std::string& path) {
  MVLM_ASSIGN(MappedFile mapped, MappedFile::Open(path));
  TsvFile file;
  file.file_ = std::make_shared<const MappedFile>(std::move(mapped));
  const auto bytes = file.file_->bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  size_t at = 0;
  for (const std::string_view name : ReadRow(text, at)) file.columns_.push_back(Unquote(name));
  while (at < text.size()) {
    std::vector<std::string_view> cells = ReadRow(text, at);
    if (cells.size() == 1 && cells[0].empty()) continue;  // an empty line at the end
    if (cells.size() != file.columns_.size()) {
      return Fail("{}: row {}: wanted {} cells as in the header, found {}", path, file.rows_.size() + 1,
                  file.columns_.size(), cells.size());
    }
    file.rows_.push_back(std::move(cells));
  }
  return file;
}

std::string TsvFile::Where(size_t row) const { return fmt::format("{}: row {}", file_->path(), row + 1); }

std::string_view TsvFile::Raw(size_t row, std::string_view column) const {
  const auto found = std::find(columns_.begin(), columns_.end(), column);
  if (found == columns_.end()) return {};
  return rows_[row][static_cast<size_t>(found - columns_.begin())];
}

std::string TsvFile::Text(size_t row, std::string_view column) const { return Unquote(Raw(row, column)); }

}  // namespace mobilevlm::eval
