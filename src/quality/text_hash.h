// Texts compared as people would: case, punctuation and blanks do not count.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mobilevlm::quality {

// Lower case (ASCII), everything but letters, digits and bytes above 127 a blank, single blanks, none at the
// ends; "<image>" is left out. "It's  A cat." -> "it s a cat"
std::string NormaliseText(std::string_view text);

// XXH3 of a text.
uint64_t HashText(std::string_view text, uint64_t seed = 0);

// 64 bits that differ the less the more words and pairs of neighbouring words two normalised texts share
// (Charikar, STOC 2002: the distance is the angle between their counts). One word replaced in a text of
// twenty changes about 8 of them.
uint64_t SimilarityHash(std::string_view normalised);

}  // namespace mobilevlm::quality
