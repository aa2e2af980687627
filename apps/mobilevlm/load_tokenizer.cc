#include "load_tokenizer.h"

#include <cstring>
#include <string_view>
#include <utility>

#include "base/mapped_file.h"
#include "gguf/reader.h"
#include "vocab/read_vocab.h"

namespace mobilevlm::app {
namespace {

Result<Tokenizer> LoadSentencePiece(const MappedFile& file) {
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  auto vocab = ParseSentencePieceModel(bytes);
  if (!vocab) return Context(vocab.error(), "{}: no GGUF file, so read as tokenizer.model", file.path());
  auto tokenizer = Tokenizer::Create(*std::move(vocab));
  if (!tokenizer) return Context(tokenizer.error(), "{}", file.path());
  return tokenizer;
}

}  // namespace

Result<Tokenizer> LoadAnyTokenizer(const std::string& path) {
  constexpr std::string_view kGgufMagic = "GGUF";
  MVLM_ASSIGN(const MappedFile file, MappedFile::Open(path));
  if (file.bytes().empty()) return Fail("{}: the file is empty", path);
  const bool is_gguf = file.bytes().size() >= kGgufMagic.size() &&
                       std::memcmp(file.bytes().data(), kGgufMagic.data(), kGgufMagic.size()) == 0;
  if (!is_gguf) return LoadSentencePiece(file);
  MVLM_ASSIGN(const GgufFile gguf, GgufFile::Open(path));
  return LoadTokenizer(gguf);
}

}  // namespace mobilevlm::app
