// libFuzzer target: a tokenizer.model of any bytes is an Error or a tokenizer that encodes and decodes.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/utf8.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mobilevlm;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Result<TokenizerVocab> vocab = ParseSentencePieceModel(bytes);
  if (!vocab) return 0;
  const Result<Tokenizer> tokenizer = Tokenizer::Create(*std::move(vocab));
  if (!tokenizer) return 0;
  MVLM_CHECK(IsValidUtf8(tokenizer->Decode(tokenizer->Encode(bytes.substr(0, 4096)))));
  return 0;
}
