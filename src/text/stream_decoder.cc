#include "text/stream_decoder.h"

#include <string_view>

#include "base/utf8.h"

namespace mobilevlm {

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, Start start)
    : tokenizer_(tokenizer),
      start_(start),
      at_start_(start == Start::kText && tokenizer.vocab().add_dummy_prefix) {}

std::string StreamDecoder::Push(int id) {
  const PieceType type = tokenizer_.Type(id);
  if (type == PieceType::kByte) {
    at_start_ = false;
    pending_ += tokenizer_.PieceText(id);
    return Take(/*all=*/false);
  }
  std::string out = Take(/*all=*/true);
  std::string_view text = tokenizer_.PieceText(id);
  if (text.empty()) return out;
  // The unknown piece prints as " ⁇ ", whose space is its own.
  if (at_start_ && type != PieceType::kUnknown && text.front() == ' ') text.remove_prefix(1);
  at_start_ = false;
  return out += text;
}

std::string StreamDecoder::Finish() {
  std::string out = Take(/*all=*/true);
  at_start_ = start_ == Start::kText && tokenizer_.vocab().add_dummy_prefix;
  return out;
}

std::string StreamDecoder::Take(bool all) {
  std::string out;
  while (!pending_.empty() && (all || !IsUnfinishedUtf8(pending_))) {
    const size_t length = ValidUtf8Prefix(pending_);
    out += length > 0 ? std::string_view(pending_).substr(0, length) : kReplacementCharacter;
    pending_.erase(0, length > 0 ? length : 1);
  }
  return out;
}

}  // namespace mobilevlm
