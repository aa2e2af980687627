#include "text/sentencepiece_writer.h"

#include <bit>
#include <cstdint>

namespace mobilevlm {
namespace {

// The fields of one protobuf message.
class Message {
 public:
  Message& Varint(uint32_t field, int64_t value) {
    Raw(field << 3);
    Raw(static_cast<uint64_t>(value));  // a negative one takes ten bytes, as protobuf has it
    return *this;
  }
  Message& Float(uint32_t field, float value) {
    Raw(field << 3 | 5);
    const auto bits = std::bit_cast<uint32_t>(value);
    for (int i = 0; i < 4; ++i) bytes_ += static_cast<char>(bits >> (8 * i) & 0xFF);
    return *this;
  }
  Message& Bytes(uint32_t field, std::string_view bytes) {
    Raw(field << 3 | 2);
    Raw(bytes.size());
    bytes_ += bytes;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void Raw(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>((value & 0x7F) | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

}  // namespace

std::string SentencePieceModel(const TokenizerVocab& vocab) {
  constexpr int kBpe = 2;
  Message model;
  for (size_t i = 0; i < vocab.pieces.size(); ++i) {
    Message piece;
    piece.Bytes(1, vocab.pieces[i]).Float(2, vocab.scores[i]);
    if (vocab.types[i] != PieceType::kNormal) piece.Varint(3, static_cast<int64_t>(vocab.types[i]));
    model.Bytes(1, piece.bytes());
  }
  Message trainer;
  trainer.Varint(3, kBpe).Varint(4, static_cast<int64_t>(vocab.pieces.size()));
  trainer.Varint(35, 1);                                                                     // byte_fallback
  trainer.Varint(40, vocab.unk).Varint(41, vocab.bos).Varint(42, vocab.eos).Varint(43, -1);  // no padding
  Message normalizer;
  normalizer.Bytes(1, "identity").Bytes(2, "");
  normalizer.Varint(3, vocab.add_dummy_prefix ? 1 : 0);
  normalizer.Varint(4, 0).Varint(5, 1);  // keep repeated spaces, write them as U+2581
  return model.Bytes(2, trainer.bytes()).Bytes(3, normalizer.bytes()).bytes();
}

}  // namespace mobilevlm
