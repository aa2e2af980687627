// The vocabulary inside a GGUF text model: the tokenizer.ggml.* arrays.
#pragma once

#include "base/result.h"
#include "gguf/reader.h"
#include "text/tokenizer.h"

namespace mobilevlm {

// Works on vocabulary-only files too. Only tokenizer.ggml.model = "llama" (SentencePiece BPE) is known.
Result<TokenizerVocab> ReadVocab(const GgufFile& file);
Result<Tokenizer> LoadTokenizer(const GgufFile& file);

}  // namespace mobilevlm
