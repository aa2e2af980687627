#include "eval/metrics/python_text.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "eval/metrics/letter_case.h"

namespace mobilevlm::eval {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

bool IsSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool IsCased(char32_t c) { return LowerCodePoint(c) != c || UpperCodePoint(c) != c; }

// The code point at `at`, which moves behind it.
char32_t Decode(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at++);
  if (first < 0x80) return first;
  const size_t more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
  if (first < 0xC2 || first > 0xF4 || at + more > text.size()) return kReplacement;
  char32_t c = first & (0x3Fu >> more);
  for (size_t i = 0; i < more; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return kReplacement;
    c = c << 6 | (byte(at + i) & 0x3Fu);
  }
  constexpr char32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
  if (c < kLeast[more] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return kReplacement;
  at += more;
  return c;
}

void Append(std::string& text, char32_t c) {
  if (c < 0x80) {
    text += static_cast<char>(c);
    return;
  }
  const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  constexpr unsigned char kLead[] = {0, 0xC0, 0xE0, 0xF0};
  text += static_cast<char>(kLead[more] | (c >> (6 * more)));
  for (int i = more - 1; i >= 0; --i) text += static_cast<char>(0x80 | ((c >> (6 * i)) & 0x3F));
}

// Python's grammar of float(): white space around, a sign, digits with single underscores between them.
bool ReadDigits(std::string_view text, size_t& at, std::string& digits) {
  const size_t begin = at;
  while (at < text.size()) {
    const bool digit = text[at] >= '0' && text[at] <= '9';
    const bool joint = text[at] == '_' && at > begin && text[at - 1] != '_' && at + 1 < text.size() &&
                       text[at + 1] >= '0' && text[at + 1] <= '9';
    if (!digit && !joint) break;
    if (digit) digits += text[at];
    ++at;
  }
  return at > begin;
}

}  // namespace

std::u32string CodePoints(std::string_view text) {
  std::u32string code_points;
  code_points.reserve(text.size());
  for (size_t at = 0; at < text.size();) code_points += Decode(text, at);
  return code_points;
}

std::string ToUtf8(std::u32string_view code_points) {
  std::string text;
  text.reserve(code_points.size());
  for (const char32_t c : code_points) Append(text, c);
  return text;
}

std::string Strip(std::string_view text) {
  const std::u32string points = CodePoints(text);
  const auto begin = std::find_if_not(points.begin(), points.end(), IsSpace);
  const auto end = std::find_if_not(points.rbegin(), std::make_reverse_iterator(begin), IsSpace).base();
  return ToUtf8(std::u32string_view(points).substr(static_cast<size_t>(begin - points.begin()),
                                                   static_cast<size_t>(end - begin)));
}

std::string StripRight(std::string_view text, char c) {
  return std::string(text.substr(0, text.find_last_not_of(c) + 1));
}

std::vector<std::string> SplitWords(std::string_view text) {
  std::vector<std::string> words;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = Decode(text, at);
    const bool space = IsSpace(c);
    if (!space && !inside) words.emplace_back();
    if (!space) Append(words.back(), c);
    inside = !space;
  }
  return words;
}

std::string JoinWords(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (&word == words.data() ? "" : " ") + word;
  return text;
}

std::string Lower(std::string_view text) {
  const std::u32string points = CodePoints(text);
  std::string lower;
  lower.reserve(text.size());
  for (size_t i = 0; i < points.size(); ++i) {
    if (points[i] == 0x130) {
      lower += "i\xCC\x87";
    } else if (points[i] == 0x3A3) {  // capital sigma: another letter at the end of a word
      const bool final =
          i > 0 && IsCased(points[i - 1]) && (i + 1 == points.size() || !IsCased(points[i + 1]));
      Append(lower, final ? 0x3C2 : 0x3C3);
    } else {
      Append(lower, LowerCodePoint(points[i]));
    }
  }
  return lower;
}

std::string Capitalize(std::string_view text) {
  if (text.empty()) return {};
  size_t at = 0;
  std::string capital;
  Append(capital, UpperCodePoint(Decode(text, at)));
  return capital + Lower(text.substr(at));
}

std::string Replace(std::string_view text, std::string_view from, std::string_view to) {
  std::string replaced;
  size_t at = 0;
  for (size_t found; (found = text.find(from, at)) != std::string_view::npos; at = found + from.size()) {
    replaced += text.substr(at, found - at);
    replaced += to;
  }
  replaced += text.substr(at);
  return replaced;
}

std::optional<double> ParseFloat(std::string_view text) {
  const std::string stripped = Strip(text);
  std::string number;
  size_t at = 0;
  if (at < stripped.size() && (stripped[at] == '+' || stripped[at] == '-')) number += stripped[at++];
  const std::string word = Lower(std::string_view(stripped).substr(at));
  if (word == "inf" || word == "infinity" || word == "nan")
    return std::strtod((number + word).c_str(), nullptr);
  bool digits = ReadDigits(stripped, at, number);
  if (at < stripped.size() && stripped[at] == '.') {
    number += stripped[at++];
    digits = ReadDigits(stripped, at, number) || digits;
  }
  if (!digits) return std::nullopt;
  if (at < stripped.size() && (stripped[at] == 'e' || stripped[at] == 'E')) {
    number += stripped[at++];
    if (at < stripped.size() && (stripped[at] == '+' || stripped[at] == '-')) number += stripped[at++];
    if (!ReadDigits(stripped, at, number)) return std::nullopt;
  }
  if (at != stripped.size()) return std::nullopt;
  return std::strtod(number.c_str(), nullptr);  // too large is infinity, as in Python
}

size_t EditDistance(std::u32string_view a, std::u32string_view b) {
  if (a.size() < b.size()) std::swap(a, b);
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace mobilevlm::eval
