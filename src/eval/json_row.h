// JSON data files as rows with a place, so that every error says which row of which file it is about:
// "val.json: row 12: \"answers\": wanted a list of strings, found null".
//
// JsonRow is a view: its JsonDocument must outlive it.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace mobilevlm::eval {

class JsonRow {
 public:
  JsonRow(const nlohmann::json& value, std::string where) : value_(&value), where_(std::move(where)) {}

  const std::string& where() const { return where_; }

  // Whether the object has this key with a value other than null.
  bool Has(std::string_view key) const;
  // The value of a key; a missing one, or a row that is no object, is an Error.
  Result<JsonRow> At(std::string_view key) const;

  // A string; Text also takes a number, as it is written, and a boolean.
  Result<std::string> String(std::string_view key) const;
  Result<std::string> Text(std::string_view key) const;
  Result<std::string> TextOr(std::string_view key, std::string_view otherwise) const;  // missing or null
  Result<int64_t> Integer(std::string_view key) const;
  Result<std::vector<std::string>> Strings(std::string_view key) const;  // a list of Text
  Result<std::vector<JsonRow>> Rows(std::string_view key) const;         // the elements of a list

  // The row's own value.
  bool IsNull() const;
  bool IsString() const;
  bool IsList() const;
  bool IsObject() const;
  Result<std::string> AsText() const;
  Result<double> AsNumber() const;
  Result<std::vector<JsonRow>> Elements() const;                         // "<where>: row 1", ...
  Result<std::vector<std::pair<std::string, JsonRow>>> Members() const;  // in the order of their keys

 private:
  tl::unexpected<Error> Unexpected(std::string_view wanted) const;

  const nlohmann::json* value_;
  std::string where_;
};

class JsonDocument {
 public:
  static Result<JsonDocument> Read(const std::string& path);
  // One JSON value a line; the root is the list of them, its elements are called "<path>:<line>".
  static Result<JsonDocument> ReadLines(const std::string& path);
  // One value, as if it were the file `name`.
  static Result<JsonDocument> Parse(std::string_view text, const std::string& name);

  JsonDocument(JsonDocument&&) noexcept;
  JsonDocument& operator=(JsonDocument&&) noexcept;
  ~JsonDocument();

  JsonRow root() const;
  const std::vector<JsonRow>& lines() const { return lines_; }  // of ReadLines

 private:
  JsonDocument(std::unique_ptr<nlohmann::json> root, std::string name);

  std::unique_ptr<nlohmann::json> root_;
  std::string name_;
  std::vector<JsonRow> lines_;
};

// `text` as a JSON string, quotes included; what is no UTF-8 is replaced.
std::string JsonQuote(std::string_view text);

}  // namespace mobilevlm::eval
