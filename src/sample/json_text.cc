#include "sample/json_text.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace mobilevlm {
namespace {

constexpr int kMostFurtherDigits = 15;

}  // namespace

int JsonText::OptionalSpace() {
  if (space_) return *space_;
  space_ = b_.Rule();
  b_.Alternative(*space_, {Byte(' ')});
  b_.Alternative(*space_, {});
  return *space_;
}

// One character of a string: well-formed UTF-8 (RFC 3629) or an escape.
int JsonText::Character() {
  if (character_) return *character_;
  const int rule = b_.Rule();
  character_ = rule;
  ByteSet plain;
  for (size_t c = 0x20; c < 0x80; ++c) plain.set(c, c != '"' && c != '\\');
  const GrammarSymbol tail = b_.Bytes(0x80, 0xBF);
  b_.Alternative(rule, {b_.Bytes(plain)});
  b_.Alternative(rule, {b_.Bytes(0xC2, 0xDF), tail});
  b_.Alternative(rule, {b_.Bytes(0xE0, 0xE0), b_.Bytes(0xA0, 0xBF), tail});
  ByteSet three;
  for (size_t c = 0xE1; c <= 0xEF; ++c) three.set(c, c != 0xED);
  b_.Alternative(rule, {b_.Bytes(three), tail, tail});
  b_.Alternative(rule, {b_.Bytes(0xED, 0xED), b_.Bytes(0x80, 0x9F), tail});
  b_.Alternative(rule, {b_.Bytes(0xF0, 0xF0), b_.Bytes(0x90, 0xBF), tail, tail});
  b_.Alternative(rule, {b_.Bytes(0xF1, 0xF3), tail, tail, tail});
  b_.Alternative(rule, {b_.Bytes(0xF4, 0xF4), b_.Bytes(0x80, 0x8F), tail, tail});
  ByteSet escaped, hex, high;
  for (const char c : {'"', '\\', '/', 'b', 'f', 'n', 'r', 't'}) escaped.set(static_cast<size_t>(c));
  for (const char c : std::string_view("0123456789abcdefABCDEF")) hex.set(static_cast<size_t>(c));
  high = hex;
  high.reset('d').reset('D');
  b_.Alternative(rule, {Byte('\\'), b_.Bytes(escaped)});
  const GrammarSymbol digit = b_.Bytes(hex);
  b_.Alternative(rule, {Byte('\\'), Byte('u'), b_.Bytes(high), digit, digit, digit});
  ByteSet d;
  d.set('d').set('D');
  b_.Alternative(rule, {Byte('\\'), Byte('u'), b_.Bytes(d), b_.Bytes('0', '7'), digit, digit});
  return rule;
}

int JsonText::String() {
  if (string_) return *string_;
  const int rule = b_.Rule(), rest = b_.Rule();
  string_ = rule;
  b_.Alternative(rule, {Byte('"'), b_.Call(rest)});
  b_.Alternative(rest, {Byte('"')});
  b_.Alternative(rest, {b_.Call(Character()), b_.Call(rest)});
  return rule;
}

int JsonText::BoundedString(size_t least, size_t most) {
  int rest = b_.Rule();
  b_.Alternative(rest, {Byte('"')});
  for (size_t length = most; length-- > 0;) {
    const int longer = b_.Rule();
    b_.Alternative(longer, {b_.Call(Character()), b_.Call(rest)});
    if (length >= least) b_.Alternative(longer, {Byte('"')});
    rest = longer;
  }
  const int rule = b_.Rule();
  b_.Alternative(rule, {Byte('"'), b_.Call(rest)});
  return rule;
}

int JsonText::Digits() {
  if (digits_) return *digits_;
  int rest = b_.Rule();
  b_.Alternative(rest, {});
  for (int i = 0; i < kMostFurtherDigits; ++i) {
    const int longer = b_.Rule();
    b_.Alternative(longer, {b_.Bytes('0', '9'), b_.Call(rest)});
    b_.Alternative(longer, {});
    rest = longer;
  }
  digits_ = rest;
  return rest;
}

int JsonText::Integer(bool negative) {
  std::optional<int>& known = negative ? integer_ : natural_;
  if (known) return *known;
  const int rule = b_.Rule();
  known = rule;
  b_.Alternative(rule, {Byte('0')});
  b_.Alternative(rule, {b_.Bytes('1', '9'), b_.Call(Digits())});
  if (negative) b_.Alternative(rule, {Byte('-'), b_.Call(Integer(false))});
  return rule;
}

int JsonText::Number() {
  if (number_) return *number_;
  const int rule = b_.Rule(), fraction = b_.Rule(), exponent = b_.Rule(), size = b_.Rule();
  number_ = rule;
  b_.Alternative(rule, {b_.Call(Integer(true)), b_.Call(fraction), b_.Call(exponent)});
  b_.Alternative(fraction, {});
  b_.Alternative(fraction, {Byte('.'), b_.Bytes('0', '9'), b_.Call(Digits())});
  ByteSet e, sign;
  e.set('e').set('E');
  sign.set('+').set('-');
  b_.Alternative(exponent, {});
  b_.Alternative(exponent, {b_.Bytes(e), b_.Call(size)});
  b_.Alternative(exponent, {b_.Bytes(e), b_.Bytes(sign), b_.Call(size)});
  b_.Alternative(size, {b_.Bytes('0', '9')});  // 1e99 at most: a double holds it
  b_.Alternative(size, {b_.Bytes('1', '9'), b_.Bytes('0', '9')});
  return rule;
}

int JsonText::List(char open, int element, size_t least, std::optional<size_t> most, char close) {
  // rest(n): behind n elements, 1 or more. Where nothing depends on n any more the rule calls itself.
  const size_t counted = most ? *most : std::max<size_t>(least, 1);
  std::vector<int> rest(counted + 1);
  for (size_t n = counted; n >= 1; --n) rest[n] = b_.Rule();
  for (size_t n = 1; n <= counted; ++n) {
    if (n >= least) b_.Alternative(rest[n], {Byte(close)});
    if (most && n == counted) continue;
    b_.Alternative(rest[n], {Byte(','), b_.Call(OptionalSpace()), b_.Call(element),
                             b_.Call(rest[std::min(n + 1, counted)])});
  }
  const int rule = b_.Rule();
  if (least == 0) b_.Alternative(rule, {Byte(open), Byte(close)});
  if (counted > 0) b_.Alternative(rule, {Byte(open), b_.Call(element), b_.Call(rest[1])});
  return rule;
}

int JsonText::Array(int item, size_t least, std::optional<size_t> most) {
  return List('[', item, least, most, ']');
}

int JsonText::Object(int key, int value) {
  const int member = b_.Rule();
  b_.Alternative(member, {b_.Call(key), Byte(':'), b_.Call(OptionalSpace()), b_.Call(value)});
  return List('{', member, 0, std::nullopt, '}');
}

int JsonText::AnyValue() {
  if (any_) return *any_;
  const int rule = b_.Rule();
  any_ = rule;
  for (const char* word : {"true", "false", "null"}) b_.Alternative(rule, b_.Text(word));
  for (const int kind : {String(), Number(), Object(String(), rule), Array(rule, 0, std::nullopt)}) {
    b_.Alternative(rule, {b_.Call(kind)});
  }
  return rule;
}

}  // namespace mobilevlm
