// A Hugging Face model directory as this project's trainer writes it: config.json (with vision_config),
// model.safetensors and tokenizer.model.
#pragma once

#include <string>

#include "base/result.h"
#include "checkpoint/safetensors.h"
#include "schema/read_config.h"

namespace mobilevlm {

struct HfDirectory {
  std::string path;
  HfConfig config;
  SafetensorsFile weights;
  std::string tokenizer_model;  // the bytes of tokenizer.model, not yet parsed

  // An Error names the file that is missing or wrong.
  static Result<HfDirectory> Open(const std::string& path);
};

}  // namespace mobilevlm
