// A vocabulary into the metadata of a text GGUF.
#pragma once

#include "gguf/writer.h"
#include "text/tokenizer.h"

namespace mobilevlm {

// tokenizer.ggml.*, the vocabulary complete: one piece for every row of the embedding table.
void WriteVocab(GgufWriter& out, const TokenizerVocab& vocab);

// Adds unused pieces up to `size`, for the rows of a padded embedding table, and takes them away again.
void PadVocab(TokenizerVocab& vocab, size_t size);
void UnpadVocab(TokenizerVocab& vocab);

}  // namespace mobilevlm
