#include "data/record_splitter.h"

#include <fmt/format.h>

#include <cstring>
#include <nlohmann/json.hpp>

namespace mobilevlm::data {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Accepts everything, remembers the error.
struct ErrorFinder : nlohmann::json_sax<nlohmann::json> {
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 5: syntax error while ..."
    std::string message = error.what();
    const size_t cut = message.find(": ");
    if (cut != std::string::npos) message.erase(0, cut + 2);
    found = JsonError{position > 0 ? position - 1 : 0, std::move(message)};
    return false;
  }

  std::optional<JsonError> found;
};

// Behind the closing quote of the string that begins at `at` (behind its opening quote); npos: none.
size_t EndOfString(std::string_view bytes, size_t at) {
  const size_t begin = at;
  while (at < bytes.size()) {
    const void* found = std::memchr(bytes.data() + at, '"', bytes.size() - at);
    if (found == nullptr) return std::string_view::npos;
    const size_t quote = static_cast<size_t>(static_cast<const char*>(found) - bytes.data());
    size_t escapes = 0;
    while (quote - escapes > begin && bytes[quote - escapes - 1] == '\\') ++escapes;
    if (escapes % 2 == 0) return quote + 1;
    at = quote + 1;
  }
  return std::string_view::npos;
}

}  // namespace

std::optional<JsonError> FindSyntaxError(std::string_view json) {
  ErrorFinder finder;
  nlohmann::json::sax_parse(json.begin(), json.end(), &finder);
  return finder.found;
}

RecordSplitter::RecordSplitter(std::string_view bytes) : bytes_(bytes) {
  if (bytes_.starts_with(kByteOrderMark)) at_ = kByteOrderMark.size();
  SkipBlanks();
  list_ = at_ < bytes_.size() && bytes_[at_] == '[';
  if (list_) ++at_;
}

void RecordSplitter::SkipBlanks() {
  while (at_ < bytes_.size() &&
         (bytes_[at_] == ' ' || bytes_[at_] == '\n' || bytes_[at_] == '\r' || bytes_[at_] == '\t')) {
    ++at_;
  }
}

tl::unexpected<JsonError> RecordSplitter::Unexpected(std::string_view wanted) const {
  if (at_ >= bytes_.size()) {
    return tl::unexpected(
        JsonError{bytes_.size(), fmt::format("wanted {}, found the end of the file", wanted)});
  }
  const char c = bytes_[at_];
  const std::string found = c >= ' ' && c <= '~' ? fmt::format("'{}'", c)
                                                 : fmt::format("byte {:#04x}", static_cast<unsigned char>(c));
  return tl::unexpected(JsonError{at_, fmt::format("wanted {}, found {}", wanted, found)});
}

bool RecordSplitter::SkipObject() {
  size_t depth = 0;
  while (at_ < bytes_.size()) {
    const char c = bytes_[at_++];
    if (c == '"') {
      at_ = EndOfString(bytes_, at_);
      if (at_ == std::string_view::npos) return false;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return true;
    }
  }
  return false;
}

tl::expected<std::optional<RecordSplitter::Range>, JsonError> RecordSplitter::Next() {
  if (ended_) return std::nullopt;
  SkipBlanks();
  if (list_) {
    const bool closed = at_ < bytes_.size() && bytes_[at_] == ']';
    if (closed) {
      ++at_;
      ended_ = true;
      SkipBlanks();
      if (at_ < bytes_.size()) return Unexpected("nothing behind the list");
      return std::nullopt;
    }
    if (!first_) {
      if (at_ >= bytes_.size() || bytes_[at_] != ',') return Unexpected("',' or ']'");
      ++at_;
      SkipBlanks();
    }
  } else if (at_ >= bytes_.size() && !first_) {
    ended_ = true;
    return std::nullopt;
  }
  if (at_ >= bytes_.size() || bytes_[at_] != '{') {
    return Unexpected(first_ && !list_ ? "a list of samples" : "a sample, '{'");
  }
  first_ = false;
  const size_t begin = at_;
  if (!SkipObject()) {
    // Either the file is cut short, or a quote before has swallowed the rest.
    auto error = FindSyntaxError(bytes_.substr(begin));
    if (!error) error = JsonError{0, "the sample that begins here is never closed"};
    error->byte += begin;
    return tl::unexpected(*std::move(error));
  }
  return Range{begin, at_ - begin};
}

}  // namespace mobilevlm::data
