// tokenizer.model is a protocol buffer (sentencepiece_model.proto, ModelProto). This reads the few fields
// that decide how text becomes ids and refuses every setting that the tokenizer does not implement:
//
//   ModelProto      1: repeated SentencePiece   2: TrainerSpec   3: NormalizerSpec   5: denormalizer
//   SentencePiece   1: piece   2: score (float)   3: type
//   TrainerSpec     3: model_type   24: treat_whitespace_as_suffix   35: byte_fallback
//                   40, 41, 42: unk, bos and eos id
//   NormalizerSpec  1: name   2: precompiled_charsmap   3: add_dummy_prefix
//                   4: remove_extra_whitespaces   5: escape_whitespaces   6: rules
#include <bit>
#include <optional>

#include "text/tokenizer.h"

namespace mobilevlm {
namespace {

enum class WireType { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  uint32_t number = 0;
  WireType wire = WireType::kVarint;
  uint64_t value = 0;      // varint or fixed
  std::string_view bytes;  // kBytes
};

// Walks the fields of one message; every length is checked against what is left.
class MessageReader {
 public:
  explicit MessageReader(std::string_view bytes) : rest_(bytes) {}

  bool done() const { return rest_.empty(); }

  Result<Field> Next() {
    MVLM_ASSIGN(const uint64_t tag, Varint());
    Field field;
    if (tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF) return Fail("field number {} is not valid", tag >> 3);
    field.number = static_cast<uint32_t>(tag >> 3);
    switch (tag & 7) {
      case 0: {
        MVLM_ASSIGN(field.value, Varint());
        break;
      }
      case 1: {
        MVLM_ASSIGN(field.value, Fixed(8));
        break;
      }
      case 2: {
        MVLM_ASSIGN(const uint64_t size, Varint());
        if (size > rest_.size()) {
          return Fail("field {} wants {} bytes, {} are left", field.number, size, rest_.size());
        }
        field.bytes = rest_.substr(0, size);
        rest_.remove_prefix(size);
        break;
      }
      case 5: {
        MVLM_ASSIGN(field.value, Fixed(4));
        break;
      }
      default:
        return Fail("field {} has the unknown wire type {}", field.number, tag & 7);
    }
    field.wire = static_cast<WireType>(tag & 7);
    return field;
  }

 private:
  Result<uint64_t> Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return Fail("it ends in the middle of a number");
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    return Fail("a number is longer than 10 bytes");
  }

  Result<uint64_t> Fixed(size_t size) {
    if (rest_.size() < size) return Fail("it ends in the middle of a number");
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      value |= static_cast<uint64_t>(static_cast<unsigned char>(rest_[i])) << (8 * i);
    }
    rest_.remove_prefix(size);
    return value;
  }

  std::string_view rest_;
};

Status Expect(const Field& field, WireType wire, const char* name) {
  if (field.wire == wire) return {};
  return Fail("field {} ({}) has wire type {}, wanted {}", field.number, name, static_cast<int>(field.wire),
              static_cast<int>(wire));
}

// Calls handle(field) for every field of the message.
template <class Handle>
Status ForEachField(std::string_view message, Handle handle) {
  MessageReader reader(message);
  while (!reader.done()) {
    MVLM_ASSIGN(const Field field, reader.Next());
    MVLM_TRY(handle(field));
  }
  return {};
}

Status ReadPiece(std::string_view message, TokenizerVocab& vocab) {
  std::string_view piece;
  float score = 0;
  uint64_t type = static_cast<uint64_t>(PieceType::kNormal);
  const Status read = ForEachField(message, [&](const Field& field) -> Status {
    switch (field.number) {
      case 1:
        MVLM_TRY(Expect(field, WireType::kBytes, "piece"));
        piece = field.bytes;
        break;
      case 2:
        MVLM_TRY(Expect(field, WireType::kFixed32, "score"));
        score = std::bit_cast<float>(static_cast<uint32_t>(field.value));
        break;
      case 3:
        MVLM_TRY(Expect(field, WireType::kVarint, "type"));
        type = field.value;
        break;
      default:
        break;
    }
    return {};
  });
  MVLM_TRY(read);
  if (type < 1 || type > 6) return Fail("piece {} has the unknown type {}", vocab.pieces.size(), type);
  vocab.pieces.emplace_back(piece);
  vocab.scores.push_back(score);
  vocab.types.push_back(static_cast<PieceType>(type));
  return {};
}

struct TrainerSpec {
  uint64_t model_type = 1;  // 1: unigram, 2: BPE, 3: word, 4: char
  uint64_t byte_fallback = 0;
  uint64_t whitespace_as_suffix = 0;
  // Negative numbers come as 64-bit two's complement: -1 switches the piece off.
  uint64_t unk = 0;
  uint64_t bos = 1;
  uint64_t eos = 2;
};

Status ReadTrainerSpec(std::string_view message, TrainerSpec& spec) {
  return ForEachField(message, [&](const Field& field) -> Status {
    const auto read = [&](uint64_t& target, const char* name) -> Status {
      MVLM_TRY(Expect(field, WireType::kVarint, name));
      target = field.value;
      return {};
    };
    switch (field.number) {
      case 3:
        return read(spec.model_type, "model_type");
      case 24:
        return read(spec.whitespace_as_suffix, "treat_whitespace_as_suffix");
      case 35:
        return read(spec.byte_fallback, "byte_fallback");
      case 40:
        return read(spec.unk, "unk_id");
      case 41:
        return read(spec.bos, "bos_id");
      case 42:
        return read(spec.eos, "eos_id");
      default:
        return {};
    }
  });
}

struct NormalizerSpec {
  bool has_rules = false;
  std::string_view name;
  uint64_t add_dummy_prefix = 1;
  uint64_t remove_extra_whitespaces = 1;
  uint64_t escape_whitespaces = 1;
};

Status ReadNormalizerSpec(std::string_view message, NormalizerSpec& spec) {
  return ForEachField(message, [&](const Field& field) -> Status {
    const auto read = [&](uint64_t& target, const char* name) -> Status {
      MVLM_TRY(Expect(field, WireType::kVarint, name));
      target = field.value;
      return {};
    };
    switch (field.number) {
      case 1:
        MVLM_TRY(Expect(field, WireType::kBytes, "name"));
        spec.name = field.bytes;
        return {};
      case 2:
      case 6:
        MVLM_TRY(Expect(field, WireType::kBytes, "normalisation rules"));
        spec.has_rules = spec.has_rules || !field.bytes.empty();
        return {};
      case 3:
        return read(spec.add_dummy_prefix, "add_dummy_prefix");
      case 4:
        return read(spec.remove_extra_whitespaces, "remove_extra_whitespaces");
      case 5:
        return read(spec.escape_whitespaces, "escape_whitespaces");
      default:
        return {};
    }
  });
}

Result<int> SpecialId(uint64_t value, const char* name) {
  if (value > 0x7FFFFFFF) return Fail("{} is {}, wanted an id", name, static_cast<int64_t>(value));
  return static_cast<int>(value);
}

Result<TokenizerVocab> ReadModel(std::string_view bytes) {
  TokenizerVocab vocab;
  TrainerSpec trainer;
  NormalizerSpec normalizer;
  NormalizerSpec denormalizer;
  const Status read = ForEachField(bytes, [&](const Field& field) -> Status {
    if (field.number >= 1 && field.number <= 5) MVLM_TRY(Expect(field, WireType::kBytes, "a message"));
    switch (field.number) {
      case 1:
        return ReadPiece(field.bytes, vocab);
      case 2:
        return ReadTrainerSpec(field.bytes, trainer);
      case 3:
        return ReadNormalizerSpec(field.bytes, normalizer);
      case 5:
        return ReadNormalizerSpec(field.bytes, denormalizer);
      default:
        return {};
    }
  });
  MVLM_TRY(read);
  if (vocab.pieces.empty()) return Fail("it has no pieces");
  if (trainer.model_type != 2) return Fail("model_type is {}, wanted 2 (BPE)", trainer.model_type);
  if (trainer.byte_fallback == 0) return Fail("byte_fallback is false, wanted true");
  if (trainer.whitespace_as_suffix != 0) return Fail("treat_whitespace_as_suffix is true, wanted false");
  if (normalizer.has_rules) {
    return Fail("normalizer \"{}\" has rules, wanted the identity normaliser", normalizer.name);
  }
  if (denormalizer.has_rules) return Fail("denormalizer has rules, wanted none");
  if (normalizer.remove_extra_whitespaces != 0) return Fail("remove_extra_whitespaces is true, wanted false");
  if (normalizer.escape_whitespaces == 0) return Fail("escape_whitespaces is false, wanted true");
  MVLM_ASSIGN(vocab.unk, SpecialId(trainer.unk, "unk_id"));
  MVLM_ASSIGN(vocab.bos, SpecialId(trainer.bos, "bos_id"));
  MVLM_ASSIGN(vocab.eos, SpecialId(trainer.eos, "eos_id"));
  vocab.add_dummy_prefix = normalizer.add_dummy_prefix != 0;
  return vocab;
}

}  // namespace

Result<TokenizerVocab> ParseSentencePieceModel(std::string_view bytes) {
  Result<TokenizerVocab> vocab = ReadModel(bytes);
  if (!vocab) return Context(vocab.error(), "SentencePiece model");
  return vocab;
}

}  // namespace mobilevlm
