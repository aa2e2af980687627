#include "vocab/write_vocab.h"

namespace mobilevlm {
namespace {

std::string PaddingPiece(size_t id) { return fmt::format("<pad{}>", id); }

}  // namespace

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
  if (!vocab.add_dummy_prefix) out.SetBool("tokenizer.ggml.add_space_prefix", false);
}

void PadVocab(TokenizerVocab& vocab, size_t size) {
  while (vocab.pieces.size() < size) {
    vocab.pieces.push_back(PaddingPiece(vocab.pieces.size()));
    vocab.scores.push_back(0);
    vocab.types.push_back(PieceType::kUnused);
  }
}

void UnpadVocab(TokenizerVocab& vocab) {
  while (!vocab.pieces.empty() && vocab.types.back() == PieceType::kUnused &&
         vocab.pieces.back() == PaddingPiece(vocab.pieces.size() - 1)) {
    vocab.pieces.pop_back();
    vocab.scores.pop_back();
    vocab.types.pop_back();
  }
}

}  // namespace mobilevlm
