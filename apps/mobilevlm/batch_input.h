// The questions of `run --batch`, from a JSON-lines file or a directory of pictures.
//
//   {"image": "a.jpg"}                                   the question is -p
//   {"image": "a.jpg", "prompt": "What is this?"}        its own question
//   {"id": 7, "image": ["a.jpg", "b.jpg"], "prompt": "Compare <image> with <image>."}
//
// Paths are relative to the file's own directory. "id" (a string or an integer) is carried into the answer;
// other keys are not looked at. A directory gives every JPEG, PNG and WebP file in and below it, by name.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/content_hash.h"
#include "base/result.h"

namespace mobilevlm::app {

struct BatchItem {
  nlohmann::json id;                // null, a string or an integer
  std::vector<std::string> images;  // as the input names them, at least one
  std::string prompt;

  // {"image", "id" if there is one, "prompt"}: the beginning of the item's row of answers.
  nlohmann::ordered_json ToJson() const;
};

struct BatchInput {
  std::filesystem::path root;  // what the items' paths are relative to
  std::vector<BatchItem> items;
};

// `prompt` is for the items that have none of their own. Everything is read and checked before anything is
// asked; an Error names file and line.
Result<BatchInput> ReadBatchInput(const std::string& path, const std::string& prompt);

// Equal for rows of the same picture, question and id.
Hash128 BatchKey(const nlohmann::ordered_json& row);

}  // namespace mobilevlm::app
