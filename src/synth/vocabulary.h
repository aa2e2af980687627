// A vocabulary built from rules instead of training, in the layout of LLaMA's.
#pragma once

#include "text/tokenizer.h"

namespace mobilevlm {

// `size` pieces: <unk>, <s>, </s>, the 256 bytes, merged pieces by falling score, single characters last. Any
// text can be encoded; the words of MobileVLM's prompts and of common questions are one piece each, as in
// LLaMA's vocabulary, so that a prompt has about as many ids as with the real one. size must hold the fixed
// pieces (about 600); it aborts otherwise.
TokenizerVocab SyntheticVocabulary(int size);

}  // namespace mobilevlm
