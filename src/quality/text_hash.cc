#include "quality/text_hash.h"

#include <xxhash.h>

#include <array>

#include "text/conversation.h"

namespace mobilevlm::quality {
namespace {

bool IsWordByte(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

void Vote(std::array<int, 64>& votes, std::string_view feature) {
  const uint64_t hash = HashText(feature);
  for (size_t bit = 0; bit < votes.size(); ++bit) votes[bit] += (hash >> bit & 1) != 0 ? 1 : -1;
}

}  // namespace

std::string NormaliseText(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool blank = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '<' && text.substr(i).starts_with(kImageMark)) {
      i += kImageMark.size() - 1;
      blank = true;
      continue;
    }
    const auto c = static_cast<unsigned char>(text[i]);
    if (!IsWordByte(c)) {
      blank = true;
      continue;
    }
    if (blank && !out.empty()) out += ' ';
    blank = false;
    out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  }
  return out;
}

uint64_t HashText(std::string_view text, uint64_t seed) {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

uint64_t SimilarityHash(std::string_view normalised) {
  std::array<int, 64> votes = {};
  size_t previous = std::string_view::npos;
  for (size_t begin = 0; begin < normalised.size();) {
    const size_t end = std::min(normalised.find(' ', begin), normalised.size());
    Vote(votes, normalised.substr(begin, end - begin));
    if (previous != std::string_view::npos) Vote(votes, normalised.substr(previous, end - previous));
    previous = begin;
    begin = end + 1;
  }
  uint64_t hash = 0;
  for (size_t bit = 0; bit < votes.size(); ++bit) hash |= uint64_t{votes[bit] > 0} << bit;
  return hash;
}

}  // namespace mobilevlm::quality
