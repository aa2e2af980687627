// A tokenizer from whatever file holds one.
#pragma once

#include <string>

#include "base/result.h"
#include "text/tokenizer.h"

namespace mobilevlm::app {

// A GGUF text model or vocabulary, or a SentencePiece tokenizer.model.
Result<Tokenizer> LoadAnyTokenizer(const std::string& path);

}  // namespace mobilevlm::app
