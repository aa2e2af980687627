// From Hugging Face directories to the two GGUF files that the engine and the community's tools read:
// OUT_DIR/text.gguf (architecture "llama", with the vocabulary) and, unless the model is text only,
// OUT_DIR/mmproj.gguf (architecture "clip", the keys and the legacy ffn names of the files in circulation).
// docs/format.md describes both. The way back is convert/to_hf.h.
//
// Only the vision blocks that are used are written, without post_layernorm, so that block_count is the
// number of blocks to run. Which tensor becomes what is read from schema/tensors.h; a tensor that is not in
// that table (rotary inv_freq, position_ids, the last block) is ignored.
//
// Checkpoints may be larger than the memory: a few megabytes of rows are worked on at a time, and the pages
// of the input are given back behind them. Everything that can be refused is before a byte is written; each
// file appears under its name only when it is complete.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "convert/output_type.h"
#include "convert/work.h"

namespace mobilevlm {

struct ConvertOptions {
  std::string hf_dir;   // a model, or a LoRA adapter, which is merged into its base
  std::string out_dir;  // created if missing
  OutputType text_type = DType::kF16;
  OutputType vision_type = DType::kF16;
  std::string base = {};    // of a LoRA adapter
  std::string vision = {};  // a CLIP directory whose tower is used instead of the model's own
  int threads = 0;          // 0: one per CPU; changes no byte
  WorkProgress progress = nullptr;
};

// The paths of the files that were written.
Result<std::vector<std::string>> ConvertHfDirectory(const ConvertOptions& options);

}  // namespace mobilevlm
