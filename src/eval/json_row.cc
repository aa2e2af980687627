#include "eval/json_row.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/parse_json.h"
#include "base/read_file.h"

namespace mobilevlm::eval {
namespace {

using nlohmann::json;

constexpr uint64_t kLargestFile = uint64_t{8} << 30;
constexpr size_t kShown = 60;  // characters of a value in an error

std::string Shown(const json& value) {
  const std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  return text.size() <= kShown ? text : text.substr(0, kShown) + "...";
}

}  // namespace

tl::unexpected<Error> JsonRow::Unexpected(std::string_view wanted) const {
  return Fail("{}: wanted {}, found {}", where_, wanted, Shown(*value_));
}

bool JsonRow::Has(std::string_view key) const {
  if (!value_->is_object()) return false;
  const auto found = value_->find(key);
  return found != value_->end() && !found->is_null();
}

Result<JsonRow> JsonRow::At(std::string_view key) const {
  if (!value_->is_object()) return Unexpected("an object");
  const auto found = value_->find(key);
  if (found == value_->end()) return Fail("{}: \"{}\" is missing", where_, key);
  return JsonRow(*found, fmt::format("{}: \"{}\"", where_, key));
}

Result<std::string> JsonRow::String(std::string_view key) const {
  MVLM_ASSIGN(const JsonRow value, At(key));
  if (!value.IsString()) return value.Unexpected("a string");
  return value.value_->get<std::string>();
}

Result<std::string> JsonRow::Text(std::string_view key) const {
  MVLM_ASSIGN(const JsonRow value, At(key));
  return value.AsText();
}

Result<std::string> JsonRow::TextOr(std::string_view key, std::string_view otherwise) const {
  if (!Has(key)) return std::string(otherwise);
  return Text(key);
}

Result<int64_t> JsonRow::Integer(std::string_view key) const {
  MVLM_ASSIGN(const JsonRow value, At(key));
  if (!value.value_->is_number_integer()) return value.Unexpected("a whole number");
  return value.value_->get<int64_t>();
}

Result<std::vector<std::string>> JsonRow::Strings(std::string_view key) const {
  MVLM_ASSIGN(const std::vector<JsonRow> elements, Rows(key));
  std::vector<std::string> strings;
  for (const JsonRow& element : elements) {
    MVLM_ASSIGN(std::string text, element.AsText());
    strings.push_back(std::move(text));
  }
  return strings;
}

Result<std::vector<JsonRow>> JsonRow::Rows(std::string_view key) const {
  MVLM_ASSIGN(const JsonRow value, At(key));
  return value.Elements();
}

bool JsonRow::IsNull() const { return value_->is_null(); }
bool JsonRow::IsString() const { return value_->is_string(); }
bool JsonRow::IsList() const { return value_->is_array(); }
bool JsonRow::IsObject() const { return value_->is_object(); }

Result<std::string> JsonRow::AsText() const {
  if (value_->is_string()) return value_->get<std::string>();
  if (value_->is_number() || value_->is_boolean()) return value_->dump();
  return Unexpected("text");
}

Result<double> JsonRow::AsNumber() const {
  if (!value_->is_number()) return Unexpected("a number");
  return value_->get<double>();
}

Result<std::vector<JsonRow>> JsonRow::Elements() const {
  if (!value_->is_array()) return Unexpected("a list");
  std::vector<JsonRow> rows;
  rows.reserve(value_->size());
  for (const json& element : *value_) {
    rows.emplace_back(element, fmt::format("{}: row {}", where_, rows.size() + 1));
  }
  return rows;
}

Result<std::vector<std::pair<std::string, JsonRow>>> JsonRow::Members() const {
  if (!value_->is_object()) return Unexpected("an object");
  std::vector<std::pair<std::string, JsonRow>> members;
  members.reserve(value_->size());
  for (const auto& [key, value] : value_->items()) {
    members.emplace_back(key, JsonRow(value, fmt::format("{}: \"{}\"", where_, key)));
  }
  return members;
}

JsonDocument::JsonDocument(std::unique_ptr<json> root, std::string name)
    : root_(std::move(root)), name_(std::move(name)) {}
JsonDocument::JsonDocument(JsonDocument&&) noexcept = default;
JsonDocument& JsonDocument::operator=(JsonDocument&&) noexcept = default;
JsonDocument::~JsonDocument() = default;

JsonRow JsonDocument::root() const { return {*root_, name_}; }

Result<JsonDocument> JsonDocument::Parse(std::string_view text, const std::string& name) {
  MVLM_ASSIGN(json root, ParseJson(text, name));
  return JsonDocument(std::make_unique<json>(std::move(root)), name);
}

Result<JsonDocument> JsonDocument::Read(const std::string& path) {
  MVLM_ASSIGN(const std::string text, ReadFile(path, kLargestFile));
  return Parse(text, path);
}

Result<JsonDocument> JsonDocument::ReadLines(const std::string& path) {
  MVLM_ASSIGN(const std::string text, ReadFile(path, kLargestFile));
  JsonDocument document(std::make_unique<json>(json::array()), path);
  std::vector<size_t> numbers;
  size_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    MVLM_ASSIGN(json value, ParseJson(line, fmt::format("{}:{}", path, number)));
    document.root_->push_back(std::move(value));
    numbers.push_back(number);
  }
  for (size_t i = 0; i < numbers.size(); ++i) {
    document.lines_.emplace_back((*document.root_)[i], fmt::format("{}:{}", path, numbers[i]));
  }
  return document;
}

std::string JsonQuote(std::string_view text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace mobilevlm::eval
