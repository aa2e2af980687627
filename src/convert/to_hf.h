// From a GGUF pair back to a Hugging Face directory: config.json (with vision_config), model.safetensors with
// the official tensor names, tokenizer.model. The way there is convert/convert.h.
//
// The pair must be F32, F16 or BF16: what was quantised cannot be brought back; if asked for, the values that
// its matrices stand for are written as F32. A vector or convolution,
// which GGUF may hold as F32 where the matrices are halves, gets the type of its file's matrices back if that
// loses nothing; so every tensor that went there and back is the same to the bit.
//
// A tower whose last block was left out on the way cannot get it back: the directory stores the blocks that
// run, one fewer than the official ones, and says mm_vision_select_layer -1.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "convert/work.h"

namespace mobilevlm {

struct ToHfOptions {
  std::string text;     // .gguf
  std::string mmproj;   // .gguf; empty: a LLaMA alone
  std::string out_dir;  // created if missing
  bool dequantize = false;
  int threads = 0;
  WorkProgress progress = nullptr;
};

struct ToHfReport {
  std::vector<std::string> written;
  int vision_blocks = 0;  // stored; 0 without a tower
};

Result<ToHfReport> ConvertToHf(const ToHfOptions& options);

}  // namespace mobilevlm
