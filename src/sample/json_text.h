// The grammar of JSON itself: strings, numbers and values of any kind.
#pragma once

#include <cstddef>
#include <optional>

#include "sample/grammar.h"

namespace mobilevlm {

// Rules are made when they are first asked for.
class JsonText {
 public:
  explicit JsonText(GrammarBuilder& builder) : b_(builder) {}

  int String();
  int BoundedString(size_t least, size_t most);
  int Number();
  int Integer(bool negative);
  int AnyValue();
  int Object(int key, int value);  // any members
  int Array(int item, size_t least, std::optional<size_t> most);
  int OptionalSpace();

  // `open` one, "," space another, ... `close`.
  int List(char open, int element, size_t least, std::optional<size_t> most, char close);

 private:
  int Character();
  int Digits();  // 0..15 of them
  GrammarSymbol Byte(char c) {
    return b_.Bytes(static_cast<unsigned char>(c), static_cast<unsigned char>(c));
  }

  GrammarBuilder& b_;
  std::optional<int> string_, number_, integer_, natural_, any_, space_, character_, digits_;
};

}  // namespace mobilevlm
