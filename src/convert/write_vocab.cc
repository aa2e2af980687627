#include "convert/write_vocab.h"

namespace mobilevlm {

void WriteVocab(GgufWriter& out, const TokenizerVocab& vocab) {
  std::vector<int32_t> types;
  for (const PieceType type : vocab.types) types.push_back(static_cast<int32_t>(type));
  out.SetString("tokenizer.ggml.model", "llama");
  out.SetStrings("tokenizer.ggml.tokens", vocab.pieces);
  out.SetF32s("tokenizer.ggml.scores", vocab.scores);
  out.SetI32s("tokenizer.ggml.token_type", types);
  out.SetU32("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(vocab.bos));
  out.SetU32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(vocab.eos));
  out.SetU32("tokenizer.ggml.unknown_token_id", static_cast<uint32_t>(vocab.unk));
  out.SetBool("tokenizer.ggml.add_bos_token", true);
  out.SetBool("tokenizer.ggml.add_eos_token", false);
}

}  // namespace mobilevlm
