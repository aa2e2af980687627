#include "sample/json_grammar.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "base/json_depth.h"
#include "sample/json_text.h"

namespace mobilevlm {
namespace {

using Json = nlohmann::ordered_json;  // properties keep their order

constexpr size_t kLargestSchema = 64 << 10;  // bytes
constexpr size_t kDeepest = 32;
constexpr size_t kMostPlaces = 200'000;  // of the grammar
constexpr size_t kMostProperties = 100;  // of one object
constexpr int64_t kMostRepeats = 1'000;  // characters, items or numbers that a bound may make us count

const std::set<std::string_view> kAnnotations = {"title",      "description", "default",   "examples",
                                                 "deprecated", "readOnly",    "writeOnly", "$schema",
                                                 "$id",        "$comment",    "$defs",     "definitions"};

class SchemaCompiler {
 public:
  explicit SchemaCompiler(const Json& root) : root_(root), text_(b_) {}

  Result<Grammar> Compile() {
    const int rule = b_.Rule();
    MVLM_ASSIGN(const int value, Value(root_, "#", 0));
    b_.Alternative(rule, {b_.Call(text_.OptionalSpace()), b_.Call(value)});
    return b_.Build(rule);
  }

 private:
  // The rule of a schema. `at` is its JSON pointer.
  Result<int> Value(const Json& schema, const std::string& at, size_t depth) {
    if (depth > kDeepest) return Fail("JSON schema: {} is nested deeper than {}", at, kDeepest);
    if (b_.places() > kMostPlaces) return Fail("JSON schema: {}: the schema is too large", at);
    if (schema.is_boolean() && schema.get<bool>()) return text_.AnyValue();
    if (!schema.is_object())
      return Fail("JSON schema: {}: wanted an object or true, found {}", at, Short(schema));
    if (schema.contains("$ref")) return Reference(schema, at, depth);
    if (schema.contains("anyOf")) return AnyOf(schema, at, depth);
    if (schema.contains("enum") || schema.contains("const")) return Constants(schema, at);
    return Typed(schema, at, depth);
  }

  Result<int> Typed(const Json& schema, const std::string& at, size_t depth) {
    MVLM_ASSIGN(const std::vector<std::string> types, Types(schema, at));
    std::set<std::string_view> used = {"type"};
    if (types.empty()) {
      MVLM_TRY(Check(schema, at, used));
      return text_.AnyValue();
    }
    const int rule = b_.Rule();
    for (const std::string& type : types) {
      MVLM_ASSIGN(const GrammarSequence one, OfType(type, schema, at, depth, used));
      b_.Alternative(rule, one);
    }
    MVLM_TRY(Check(schema, at, used));
    return rule;
  }

  Result<std::vector<std::string>> Types(const Json& schema, const std::string& at) {
    const auto type = schema.find("type");
    if (type == schema.end()) {
      // Schemas that say it by their keywords.
      if (schema.contains("properties") || schema.contains("required"))
        return std::vector<std::string>{"object"};
      if (schema.contains("items")) return std::vector<std::string>{"array"};
      return std::vector<std::string>{};
    }
    std::vector<std::string> types;
    for (const Json& one : type->is_array() ? *type : Json::array({*type})) {
      if (!one.is_string())
        return Fail("JSON schema: {}/type: wanted names of types, found {}", at, Short(*type));
      types.push_back(one.get<std::string>());
    }
    if (types.empty()) return Fail("JSON schema: {}/type is an empty list", at);
    return types;
  }

  // One alternative; notes in `used` the keywords it obeys.
  Result<GrammarSequence> OfType(const std::string& type, const Json& schema, const std::string& at,
                                 size_t depth, std::set<std::string_view>& used) {
    const auto call = [&](int rule) { return GrammarSequence{b_.Call(rule)}; };
    if (type == "null") return b_.Text("null");
    if (type == "boolean") {
      const int rule = b_.Rule();
      b_.Alternative(rule, b_.Text("true"));
      b_.Alternative(rule, b_.Text("false"));
      return call(rule);
    }
    if (type == "number") {
      // "integer" beside it obeys bounds; nothing here does.
      for (const char* bound : {"minimum", "maximum"}) {
        if (schema.contains(bound)) return Unsupported(at, bound);
      }
      return call(text_.Number());
    }
    Result<int> rule = Fail("JSON schema: {}/type: {} is no type", at, type);
    if (type == "integer") rule = Integer(schema, at, used);
    if (type == "string") rule = String(schema, at, used);
    if (type == "array") rule = Array(schema, at, depth, used);
    if (type == "object") rule = Object(schema, at, depth, used);
    return rule.map(call);
  }

  // A keyword that is a whole number >= 0, if it is there.
  Result<std::optional<int64_t>> Count(const Json& schema, const char* keyword, const std::string& at) {
    const auto found = schema.find(keyword);
    if (found == schema.end()) return std::nullopt;
    if (!found->is_number_integer() || *found < 0 || *found > kMostRepeats) {
      return Fail("JSON schema: {}/{}: wanted a whole number from 0 to {}, found {}", at, keyword,
                  kMostRepeats, Short(*found));
    }
    return found->get<int64_t>();
  }

  Result<int> String(const Json& schema, const std::string& at, std::set<std::string_view>& used) {
    used.insert({"minLength", "maxLength"});
    MVLM_ASSIGN(const std::optional<int64_t> least, Count(schema, "minLength", at));
    MVLM_ASSIGN(const std::optional<int64_t> most, Count(schema, "maxLength", at));
    if (!least.value_or(0) && !most) return text_.String();
    if (!most) return Fail("JSON schema: {}: minLength needs a maxLength", at);
    if (*most < least.value_or(0)) return Fail("JSON schema: {}: maxLength is less than minLength", at);
    return text_.BoundedString(static_cast<size_t>(least.value_or(0)), static_cast<size_t>(*most));
  }

  Result<int> Integer(const Json& schema, const std::string& at, std::set<std::string_view>& used) {
    used.insert({"minimum", "maximum"});
    const auto least = schema.find("minimum"), most = schema.find("maximum");
    for (const auto& bound : {least, most}) {
      if (bound != schema.end() && !bound->is_number_integer()) {
        return Fail("JSON schema: {}: wanted whole numbers as bounds, found {}", at, Short(*bound));
      }
    }
    if (least == schema.end() && most == schema.end()) return text_.Integer(true);
    if (least != schema.end() && most == schema.end() && *least == 0) return text_.Integer(false);
    if (least == schema.end() || most == schema.end()) {
      return Fail("JSON schema: {}: wanted minimum and maximum together, or minimum 0", at);
    }
    // Numbers beyond int64 are read as unsigned; neither they nor a long way are counted through.
    if (least->is_number_unsigned() && least->get<uint64_t>() > uint64_t{INT64_MAX}) return TooFar(at);
    if (most->is_number_unsigned() && most->get<uint64_t>() > uint64_t{INT64_MAX}) return TooFar(at);
    const int64_t first = least->get<int64_t>(), last = most->get<int64_t>();
    if (last < first) return Fail("JSON schema: {}: maximum is less than minimum", at);
    if (static_cast<uint64_t>(last) - static_cast<uint64_t>(first) > uint64_t{kMostRepeats})
      return TooFar(at);
    std::vector<std::string> numbers;
    for (int64_t i = 0; i <= last - first; ++i) numbers.push_back(fmt::format("{}", first + i));
    return b_.OneOf(std::move(numbers));
  }

  static tl::unexpected<Error> TooFar(const std::string& at) {
    return Fail("JSON schema: {}: minimum and maximum are more than {} apart", at, kMostRepeats);
  }

  Result<int> Array(const Json& schema, const std::string& at, size_t depth,
                    std::set<std::string_view>& used) {
    used.insert({"items", "minItems", "maxItems"});
    MVLM_ASSIGN(const std::optional<int64_t> least, Count(schema, "minItems", at));
    MVLM_ASSIGN(const std::optional<int64_t> most, Count(schema, "maxItems", at));
    if (most && *most < least.value_or(0)) return Fail("JSON schema: {}: maxItems is less than minItems", at);
    int item = text_.AnyValue();
    if (const auto items = schema.find("items"); items != schema.end()) {
      MVLM_ASSIGN(item, Value(*items, at + "/items", depth + 1));
    }
    std::optional<size_t> limit;
    if (most) limit = static_cast<size_t>(*most);
    return text_.Array(item, static_cast<size_t>(least.value_or(0)), limit);
  }

  Result<int> Object(const Json& schema, const std::string& at, size_t depth,
                     std::set<std::string_view>& used) {
    used.insert({"properties", "required", "additionalProperties"});
    MVLM_ASSIGN(const std::set<std::string> required, Required(schema, at));
    const auto properties = schema.find("properties");
    if (properties == schema.end() || properties->empty()) {
      if (!required.empty()) return NotDeclared(at, *required.begin());
      const auto others = schema.find("additionalProperties");
      int value = text_.AnyValue();
      if (others != schema.end()) {
        if (others->is_boolean() && !others->get<bool>()) return Members({});
        MVLM_ASSIGN(value, Value(*others, at + "/additionalProperties", depth + 1));
      }
      return text_.Object(text_.String(), value);
    }
    if (!properties->is_object()) return Fail("JSON schema: {}/properties: wanted an object", at);
    if (properties->size() > kMostProperties) {
      return Fail("JSON schema: {}: {} properties, wanted at most {}", at, properties->size(),
                  kMostProperties);
    }
    std::vector<Member> members;
    for (const auto& [name, property] : properties->items()) {
      MVLM_ASSIGN(const int value, Value(property, at + "/properties/" + name, depth + 1));
      members.push_back({name, value, required.contains(name)});
    }
    for (const std::string& name : required) {
      if (!properties->contains(name)) return NotDeclared(at, name);
    }
    return Members(members);
  }

  static tl::unexpected<Error> NotDeclared(const std::string& at, const std::string& name) {
    return Fail("JSON schema: {}: \"{}\" is required but is none of the properties", at, name);
  }

  Result<std::set<std::string>> Required(const Json& schema, const std::string& at) {
    std::set<std::string> names;
    const auto required = schema.find("required");
    if (required == schema.end()) return names;
    if (!required->is_array()) return Fail("JSON schema: {}/required: wanted a list of names", at);
    for (const Json& name : *required) {
      if (!name.is_string()) return Fail("JSON schema: {}/required: wanted names, found {}", at, Short(name));
      names.insert(name.get<std::string>());
    }
    return names;
  }

  struct Member {
    std::string name;
    int value;
    bool required;
  };

  // The members in order, those not required or left out. rest[written]: from the next member on, when one
  // has been written already or not; built from the last member to the first.
  int Members(const std::vector<Member>& members) {
    int rest[2];
    for (int& rule : rest) b_.Alternative(rule = b_.Rule(), b_.Text("}"));
    for (size_t i = members.size(); i-- > 0;) {
      int here[2];
      for (const int written : {0, 1}) {
        GrammarSequence with;
        if (written) with = {b_.Text(",")[0], b_.Call(text_.OptionalSpace())};
        const GrammarSequence key = b_.Text(Json(members[i].name).dump() + ":");
        with.insert(with.end(), key.begin(), key.end());
        with.insert(with.end(),
                    {b_.Call(text_.OptionalSpace()), b_.Call(members[i].value), b_.Call(rest[1])});
        b_.Alternative(here[written] = b_.Rule(), with);
        if (!members[i].required) b_.Alternative(here[written], {b_.Call(rest[written])});
      }
      std::copy(here, here + 2, rest);
    }
    const int rule = b_.Rule();
    b_.Alternative(rule, {b_.Text("{")[0], b_.Call(rest[0])});
    return rule;
  }

  Result<int> Constants(const Json& schema, const std::string& at) {
    MVLM_TRY(Check(schema, at, {"enum", "const", "type"}));
    const Json values = schema.contains("enum") ? schema["enum"] : Json::array({schema["const"]});
    if (!values.is_array() || values.empty())
      return Fail("JSON schema: {}/enum: wanted a list of values", at);
    MVLM_ASSIGN(const std::vector<std::string> types, Types(schema, at));
    std::vector<std::string> texts;
    size_t bytes = 0;
    for (const Json& value : values) {
      if (schema.contains("const") && !Equal(value, schema["const"])) continue;
      const auto has_type = [&](const std::string& type) { return HasType(value, type); };
      if (!types.empty() && std::none_of(types.begin(), types.end(), has_type)) continue;
      texts.push_back(value.dump());
      bytes += texts.back().size();
    }
    if (texts.empty()) return Fail("JSON schema: {}: type, enum and const leave no value", at);
    if (bytes > kMostPlaces) return Fail("JSON schema: {}: the schema is too large", at);
    return b_.OneOf(std::move(texts));
  }

  // Members of objects in any order.
  static bool Equal(const Json& a, const Json& b) { return nlohmann::json(a) == nlohmann::json(b); }

  static bool HasType(const Json& value, std::string_view type) {
    if (type == "null") return value.is_null();
    if (type == "boolean") return value.is_boolean();
    if (type == "number") return value.is_number();
    if (type == "string") return value.is_string();
    if (type == "array") return value.is_array();
    if (type == "object") return value.is_object();
    if (type != "integer" || !value.is_number()) return false;
    return value.is_number_integer() || std::trunc(value.get<double>()) == value.get<double>();
  }

  Result<int> AnyOf(const Json& schema, const std::string& at, size_t depth) {
    MVLM_TRY(Check(schema, at, {"anyOf"}));
    const Json& choices = schema["anyOf"];
    if (!choices.is_array() || choices.empty())
      return Fail("JSON schema: {}/anyOf: wanted a list of schemas", at);
    const int rule = b_.Rule();
    for (size_t i = 0; i < choices.size(); ++i) {
      MVLM_ASSIGN(const int choice, Value(choices[i], fmt::format("{}/anyOf/{}", at, i), depth + 1));
      b_.Alternative(rule, {b_.Call(choice)});
    }
    return rule;
  }

  // A schema that is referred to is compiled once, under a rule of its own, so that it may refer to itself.
  Result<int> Reference(const Json& schema, const std::string& at, size_t depth) {
    MVLM_TRY(Check(schema, at, {"$ref"}));
    const Json& ref = schema["$ref"];
    if (!ref.is_string() || !ref.get_ref<const std::string&>().starts_with('#')) {
      return Fail("JSON schema: {}/$ref: wanted a place in this schema, \"#...\", found {}", at, Short(ref));
    }
    const std::string target = ref.get<std::string>();
    if (const auto known = references_.find(target); known != references_.end()) return known->second;
    const int rule = references_[target] = b_.Rule();
    const Json* found = nullptr;
    try {
      found = &root_.at(Json::json_pointer(target.substr(1)));
    } catch (const nlohmann::json::exception&) {
      return Fail("JSON schema: {}/$ref: there is no {}", at, target);
    }
    MVLM_ASSIGN(const int value, Value(*found, target, depth + 1));
    b_.Alternative(rule, {b_.Call(value)});
    return rule;
  }

  static Status Check(const Json& schema, const std::string& at, const std::set<std::string_view>& used) {
    for (const auto& [keyword, value] : schema.items()) {
      if (!used.contains(keyword) && !kAnnotations.contains(keyword)) return Unsupported(at, keyword);
    }
    return {};
  }

  static tl::unexpected<Error> Unsupported(const std::string& at, std::string_view keyword) {
    return Fail("JSON schema: {}: keyword \"{}\" is not supported here", at, keyword);
  }

  static std::string Short(const Json& value) {
    std::string text = value.dump();
    return text.size() <= 40 ? text : std::string(value.type_name());
  }

  const Json& root_;
  GrammarBuilder b_;
  JsonText text_;
  std::map<std::string, int> references_;
};

}  // namespace

Result<Grammar> CompileJsonSchema(std::string_view schema) {
  if (schema.size() > kLargestSchema) {
    return Fail("JSON schema: {} bytes, wanted at most {}", schema.size(), kLargestSchema);
  }
  if (JsonDepth(schema) > 4 * kDeepest) return Fail("JSON schema: nested deeper than {}", 4 * kDeepest);
  const Json root = Json::parse(schema, nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded()) return Fail("JSON schema: this is not JSON");
  return SchemaCompiler(root).Compile();
}

}  // namespace mobilevlm
