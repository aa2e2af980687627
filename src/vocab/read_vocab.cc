#include "vocab/read_vocab.h"

#include <utility>

namespace mobilevlm {
namespace {

// The id at `key`, or the documented default if the file leaves it out.
Result<int> SpecialId(const GgufFile& file, std::string_view key, int fallback) {
  if (!file.Has(key)) return fallback;
  MVLM_ASSIGN(const uint32_t id, file.GetU32(key));
  if (id > 0x7FFFFFFF) return Fail("{}: {} = {} is no token id", file.path(), key, id);
  return static_cast<int>(id);
}

}  // namespace

Result<TokenizerVocab> ReadVocab(const GgufFile& file) {
  if (!file.Has("tokenizer.ggml.model")) {
    return Fail("{}: holds no vocabulary (tokenizer.ggml.model is missing)", file.path());
  }
  MVLM_ASSIGN(const std::string model, file.GetString("tokenizer.ggml.model"));
  if (model != "llama") {
    return Fail("{}: tokenizer.ggml.model = \"{}\" is not supported, wanted \"llama\" (SentencePiece)",
                file.path(), model);
  }
  TokenizerVocab vocab;
  MVLM_ASSIGN(vocab.pieces, file.GetStrings("tokenizer.ggml.tokens"));
  MVLM_ASSIGN(vocab.scores, file.GetF32s("tokenizer.ggml.scores"));
  MVLM_ASSIGN(const std::vector<int64_t> types, file.GetInts("tokenizer.ggml.token_type"));
  for (const int64_t type : types) {
    if (type < 1 || type > 6) {
      return Fail("{}: tokenizer.ggml.token_type holds {}, wanted 1..6", file.path(), type);
    }
    vocab.types.push_back(static_cast<PieceType>(type));
  }
  MVLM_ASSIGN(vocab.bos, SpecialId(file, "tokenizer.ggml.bos_token_id", 1));
  MVLM_ASSIGN(vocab.eos, SpecialId(file, "tokenizer.ggml.eos_token_id", 2));
  MVLM_ASSIGN(vocab.unk, SpecialId(file, "tokenizer.ggml.unknown_token_id", 0));
  if (file.Has("tokenizer.ggml.add_space_prefix")) {
    MVLM_ASSIGN(vocab.add_dummy_prefix, file.GetBool("tokenizer.ggml.add_space_prefix"));
  }
  return vocab;
}

Result<Tokenizer> LoadTokenizer(const GgufFile& file) {
  MVLM_ASSIGN(TokenizerVocab vocab, ReadVocab(file));
  auto tokenizer = Tokenizer::Create(std::move(vocab));
  if (!tokenizer) return Context(tokenizer.error(), "{}", file.path());
  return tokenizer;
}

}  // namespace mobilevlm
