// tokenizer.model: a vocabulary as SentencePiece's ModelProto.
#pragma once

#include <string>

#include "text/tokenizer.h"

namespace mobilevlm {

// A BPE model with byte fallback and the identity normaliser, as LLaMA's; ParseSentencePieceModel reads it
// back.
std::string SentencePieceModel(const TokenizerVocab& vocab);

}  // namespace mobilevlm
