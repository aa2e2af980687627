#include "batch_input.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/parse_json.h"
#include "base/read_file.h"

namespace mobilevlm::app {
namespace {

using nlohmann::json;

constexpr uint64_t kLargestInput = uint64_t{4} << 30;

bool IsPictureName(const std::filesystem::path& path) {
  constexpr std::array<std::string_view, 4> kExtensions = {".jpg", ".jpeg", ".png", ".webp"};
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

Result<std::vector<std::string>> ImagesOf(const json& line) {
  const auto found = line.find("image");
  if (found == line.end()) return Fail("\"image\" is missing");
  if (found->is_string()) return std::vector<std::string>{found->get<std::string>()};
  const bool strings = found->is_array() && !found->empty() &&
                       std::all_of(found->begin(), found->end(), [](const json& j) { return j.is_string(); });
  if (!strings) return Fail("\"image\": wanted a path or a list of paths, found {}", found->dump());
  return found->get<std::vector<std::string>>();
}

Result<BatchItem> ReadItem(const json& line, const std::string& prompt) {
  if (!line.is_object()) return Fail("wanted a JSON object");
  BatchItem item;
  MVLM_ASSIGN(item.images, ImagesOf(line));
  if (const auto id = line.find("id"); id != line.end() && !id->is_null()) {
    if (!id->is_string() && !id->is_number_integer()) {
      return Fail("\"id\": wanted a string or an integer, found {}", id->dump());
    }
    item.id = *id;
  }
  item.prompt = prompt;
  if (const auto own = line.find("prompt"); own != line.end()) {
    if (!own->is_string()) return Fail("\"prompt\": wanted a string, found {}", own->dump());
    item.prompt = own->get<std::string>();
  }
  if (item.prompt.empty()) return Fail("no question: wanted a \"prompt\" here or -p for all");
  return item;
}

Result<BatchInput> ReadLines(const std::string& path, const std::string& prompt) {
  MVLM_ASSIGN(const std::string text, ReadFile(path, kLargestInput));
  BatchInput input{.root = std::filesystem::path(path).parent_path(), .items = {}};
  size_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}:{}", path, number);
    MVLM_ASSIGN(const json row, ParseJson(line, where));
    auto item = ReadItem(row, prompt);
    if (!item) return Context(item.error(), "{}", where);
    input.items.push_back(std::move(*item));
  }
  return input;
}

Result<BatchInput> ListDirectory(const std::string& path, const std::string& prompt) {
  if (prompt.empty()) return Fail("--batch with a directory needs -p, the question");
  BatchInput input{.root = path, .items = {}};
  std::error_code error;
  std::filesystem::recursive_directory_iterator it(path, error);
  for (; !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error)) {
    std::error_code unknown;  // then it is tried as a picture, and its row says what is wrong
    if (!IsPictureName(it->path()) || it->is_directory(unknown)) continue;
    input.items.push_back({.id = {}, .images = {it->path().lexically_relative(path)}, .prompt = prompt});
  }
  if (error) return Fail("{}: cannot list the directory: {}", path, error.message());
  std::sort(input.items.begin(), input.items.end(),
            [](const BatchItem& a, const BatchItem& b) { return a.images < b.images; });
  return input;
}

}  // namespace

nlohmann::ordered_json BatchItem::ToJson() const {
  nlohmann::ordered_json row;
  if (images.size() == 1) {
    row["image"] = images.front();
  } else {
    row["image"] = images;
  }
  if (!id.is_null()) row["id"] = id;
  row["prompt"] = prompt;
  return row;
}

Result<BatchInput> ReadBatchInput(const std::string& path, const std::string& prompt) {
  std::error_code ignored;  // ReadFile says what is wrong with the path
  const bool directory = std::filesystem::is_directory(path, ignored);
  MVLM_ASSIGN(BatchInput input, directory ? ListDirectory(path, prompt) : ReadLines(path, prompt));
  if (input.items.empty()) {
    return Fail("{}: no {} in it", path, directory ? "JPEG, PNG or WebP file" : "question");
  }
  return input;
}

Hash128 BatchKey(const nlohmann::ordered_json& row) {
  nlohmann::ordered_json key;
  for (const char* name : {"image", "id", "prompt"}) key.push_back(row.value(name, nlohmann::ordered_json()));
  // A file name that is no UTF-8 is written with replacements, so it is compared with them, too.
  const std::string text = key.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  return HashBytes(text.data(), text.size());
}

}  // namespace mobilevlm::app
