#include "train/recipe/read_recipe.h"

#include <toml++/toml.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "base/read_file.h"
#include "train/recipe/fields.h"

namespace mobilevlm::train {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxRecipeBytes = 1 << 20;

std::string_view TypeName(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number";
    case toml::node_type::boolean:
      return "true or false";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::table:
      return "a table";
    default:
      return "a date or time";
  }
}

// Takes the node's value into the field's variable, whose type says what is wanted.
class Taker {
 public:
  explicit Taker(const toml::node& node) : node_(node) {}

  Status operator()(std::string* out) const { return Take<std::string>(out, "a string"); }
  Status operator()(bool* out) const { return Take<bool>(out, "true or false"); }
  Status operator()(int64_t* out) const { return Take<int64_t>(out, "a whole number"); }
  Status operator()(double* out) const { return TakeNumber(node_, out); }
  Status operator()(std::vector<std::string>* out) const {
    return TakeList(out, [](const toml::node& item, std::string* text) { return Taker(item)(text); });
  }
  Status operator()(std::vector<double>* out) const { return TakeList(out, TakeNumber); }
  Status operator()(std::map<std::string, double>* out) const {
    const toml::table* table = node_.as_table();
    if (table == nullptr) return Wrong("a table of numbers");
    out->clear();
    for (const auto& [key, value] : *table) MVLM_TRY(TakeNumber(value, &(*out)[std::string(key.str())]));
    return {};
  }

 private:
  tl::unexpected<Error> Wrong(std::string_view wanted) const {
    return Fail("wanted {}, found {}", wanted, TypeName(node_));
  }
  template <class T>
  Status Take(T* out, std::string_view wanted) const {
    const auto value = node_.value_exact<T>();
    if (!value) return Wrong(wanted);
    *out = *value;
    return {};
  }
  static Status TakeNumber(const toml::node& node, double* out) {
    if (!node.is_number()) return Taker(node).Wrong("a number");
    *out = *node.value<double>();
    return {};
  }
  template <class T, class TakeItem>
  Status TakeList(std::vector<T>* out, const TakeItem& take) const {
    out->clear();
    const toml::array* array = node_.as_array();
    if (array == nullptr) {
      if (node_.is_table()) return Wrong("a list");
      return take(node_, &out->emplace_back());
    }
    for (const toml::node& item : *array) MVLM_TRY(take(item, &out->emplace_back()));
    return {};
  }

  const toml::node& node_;
};

Status TakeTable(const toml::table& table, const std::string& prefix, const std::vector<Field>& fields,
                 const std::string& name) {
  for (const auto& [key, node] : table) {
    const std::string whole = prefix + std::string(key.str());
    const auto line = node.source().begin.line;
    const auto field =
        std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return f.key == whole; });
    if (field != fields.end()) {
      Status taken = std::visit(Taker(node), field->value);
      if (!taken) return Fail("{}:{}: {}: {}", name, line, whole, taken.error().message);
      if (Status status = CheckField(*field); !status) return Context(status.error(), "{}:{}", name, line);
      continue;
    }
    const bool section = std::any_of(fields.begin(), fields.end(),
                                     [&](const Field& f) { return f.key.starts_with(whole + "."); });
    if (!section) return Fail("{}:{}: unknown key {}", name, line, whole);
    const toml::table* inner = node.as_table();
    if (inner == nullptr)
      return Fail("{}:{}: {}: wanted a table, found {}", name, line, whole, TypeName(node));
    MVLM_TRY(TakeTable(*inner, whole + ".", fields, name));
  }
  return {};
}

Result<toml::table> ParseToml(std::string_view text, const std::string& name) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    return Fail("{}:{}: {}", name, error.source().begin.line, error.description());
  }
}

// Values as TOML.
std::string Quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += {'\\', c};
    } else if (byte < 0x20 || byte == 0x7F) {
      result += fmt::format("\\u{:04X}", static_cast<unsigned>(byte));
    } else {
      result += c;
    }
  }
  return result + "\"";
}

struct Printer {
  std::string operator()(const std::string* text) const { return Quoted(*text); }
  std::string operator()(const double* value) const { return fmt::format("{}", *value); }
  std::string operator()(const int64_t* value) const { return fmt::format("{}", *value); }
  std::string operator()(const bool* value) const { return *value ? "true" : "false"; }
  std::string operator()(const std::vector<std::string>* texts) const {
    std::vector<std::string> quoted;
    for (const std::string& text : *texts) quoted.push_back(Quoted(text));
    return fmt::format("[{}]", fmt::join(quoted, ", "));
  }
  std::string operator()(const std::vector<double>* values) const {
    return fmt::format("[{}]", fmt::join(*values, ", "));
  }
  std::string operator()(const std::map<std::string, double>* table) const {
    std::vector<std::string> items;
    for (const auto& [key, value] : *table) items.push_back(fmt::format("{} = {}", Quoted(key), value));
    return fmt::format("{{ {} }}", fmt::join(items, ", "));
  }
};

std::string Text(const Field& field) { return std::visit(Printer{}, field.value); }

}  // namespace

Result<Recipe> ParseRecipe(std::string_view text, const std::string& name) {
  MVLM_ASSIGN(const toml::table table, ParseToml(text, name));
  Recipe recipe;
  MVLM_TRY(TakeTable(table, "", Fields(recipe), name));
  if (recipe.stage.empty()) return Fail("{}: key stage is missing", name);
  return recipe;
}

Status Override(Recipe& recipe, const std::string& assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    return Fail("--set: wanted KEY=VALUE, found '{}'", assignment);
  }
  const std::string key = assignment.substr(0, equals), value = assignment.substr(equals + 1);
  auto parsed = ParseToml("value = " + value, "--set");
  const bool is_text = !parsed || parsed->size() != 1;
  if (is_text) parsed = toml::table{{"value", value}};
  for (const Field& field : Fields(recipe)) {
    if (field.key != key) continue;
    // Text need not be quoted, even where it reads as a number.
    const bool wants_text = std::holds_alternative<std::string*>(field.value);
    const toml::value<std::string> plain(value);
    const toml::node& node = *parsed->get("value");
    const bool as_text = wants_text && !node.is_string();
    Status taken = std::visit(Taker(as_text ? static_cast<const toml::node&>(plain) : node), field.value);
    if (!taken) return Fail("--set {}: {}", key, taken.error().message);
    if (Status status = CheckField(field); !status) return Context(status.error(), "--set");
    return {};
  }
  return Fail("--set: unknown key {}", key);
}

Result<Recipe> ReadRecipe(const std::string& path, const std::vector<std::string>& overrides) {
  MVLM_ASSIGN(const std::string text, ReadFile(path, kMaxRecipeBytes));
  MVLM_ASSIGN(Recipe recipe, ParseRecipe(text, path));
  for (const std::string& assignment : overrides) MVLM_TRY(Override(recipe, assignment));
  if (Status status = CheckRecipe(recipe); !status) return Context(status.error(), "{}", path);
  return recipe;
}

Status CheckRecipe(const Recipe& recipe) {
  if (recipe.stage.empty() || recipe.stage.find('/') != std::string::npos || recipe.stage[0] == '.') {
    return Fail("stage: wanted a name for a directory, found \"{}\"", recipe.stage);
  }
  if (recipe.schedule.micro_batch > recipe.schedule.batch) {
    return Fail("schedule.micro_batch: wanted at most schedule.batch = {}, found {}", recipe.schedule.batch,
                recipe.schedule.micro_batch);
  }
  if (recipe.kind != "finetune") {
    if (recipe.schedule.steps < 1) return Fail("schedule.steps: a mini stage needs a number of steps");
    return {};
  }
  if (recipe.schedule.batch % recipe.schedule.micro_batch != 0) {
    return Fail("schedule.batch: wanted a multiple of schedule.micro_batch = {}, found {}",
                recipe.schedule.micro_batch, recipe.schedule.batch);
  }
  if (recipe.model.start.empty()) {
    return Fail("model.start: wanted the Hugging Face directory to start from (--set model.start=DIR)");
  }
  if (recipe.data.annotations.empty()) {
    return Fail("data.annotations: wanted annotation files (--set data.annotations=FILE.json)");
  }
  if (!recipe.data.shares.empty() && recipe.data.shares.size() != recipe.data.annotations.size()) {
    return Fail("data.shares: wanted one per annotation file, found {} for {}", recipe.data.shares.size(),
                recipe.data.annotations.size());
  }
  if (recipe.model.train.empty()) return Fail("model.train: nothing is trained");
  const bool whole_decoder = recipe.lora.rank == 0 && IsTrained(recipe, "model.norm.weight");
  if (whole_decoder && recipe.model.frozen_weights != "float32") {
    return Fail("model.frozen_weights: {} is for a decoder that stands still, but it is trained",
                recipe.model.frozen_weights);
  }
  if (recipe.lora.rank > 0 && recipe.lora.alpha <= 0) {
    return Fail("lora.alpha: wanted a number above 0 with lora.rank = {}", recipe.lora.rank);
  }
  return {};
}

std::string RecipeToml(const Recipe& recipe) {
  Recipe copy = recipe;
  std::string text, section;
  for (const Field& field : Fields(copy)) {
    const size_t dot = field.key.find('.');
    const std::string of = dot == std::string::npos ? "" : field.key.substr(0, dot);
    if (of != section) text += fmt::format("\n[{}]\n", of);
    section = of;
    text += fmt::format("{} = {}\n", dot == std::string::npos ? field.key : field.key.substr(dot + 1),
                        Text(field));
  }
  return text;
}

std::vector<std::string> Differences(const Recipe& before, const Recipe& now) {
  Recipe one = before, two = now;
  const std::vector<Field> old_fields = Fields(one), new_fields = Fields(two);
  std::vector<std::string> lines;
  for (size_t i = 0; i < old_fields.size(); ++i) {
    const std::string was = Text(old_fields[i]), is = Text(new_fields[i]);
    if (was != is) lines.push_back(fmt::format("{} was {} and is {}", old_fields[i].key, was, is));
  }
  return lines;
}

Result<std::string> FindRecipe(const std::string& name) {
  if (name.find('/') != std::string::npos || name.ends_with(".toml")) return name;
  std::vector<fs::path> places;
  std::error_code error;
  if (const char* directory = std::getenv("MOBILEVLM_CONFIG_DIR");
      directory != nullptr && *directory != '\0') {
    places = {directory};
  } else {
    const fs::path bin = fs::read_symlink("/proc/self/exe", error).parent_path();
    if (!error) places = {bin / "../../../configs", bin / "../share/mobilevlm/configs"};
  }
  std::vector<std::string> searched;
  for (const fs::path& place : places) {
    const fs::path path = (place / (name + ".toml")).lexically_normal();
    if (fs::exists(path, error)) return path.string();
    searched.push_back(place.lexically_normal().string());
  }
  return Fail("no recipe {}.toml in {}", name, fmt::join(searched, ", "));
}

}  // namespace mobilevlm::train
