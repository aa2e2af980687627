// A vocabulary into the metadata of a text GGUF.
#pragma once

#include "gguf/writer.h"
#include "text/tokenizer.h"

namespace mobilevlm {

// tokenizer.ggml.*, the vocabulary complete: one piece for every row of the embedding table.
void WriteVocab(GgufWriter& out, const TokenizerVocab& vocab);

}  // namespace mobilevlm
