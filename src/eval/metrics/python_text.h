// Strings as Python's str treats them, which is how the official scorers see them: Unicode white space,
// full lower-casing, lengths in code points. All text is UTF-8; a byte that is not becomes U+FFFD.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mobilevlm::eval {

std::u32string CodePoints(std::string_view text);
std::string ToUtf8(std::u32string_view code_points);

std::string Strip(std::string_view text);                      // str.strip()
std::string StripRight(std::string_view text, char c);         // str.rstrip(c)
std::vector<std::string> SplitWords(std::string_view text);    // str.split()
std::string JoinWords(const std::vector<std::string>& words);  // ' '.join(words)
std::string Lower(std::string_view text);                      // str.lower()
std::string Capitalize(std::string_view text);                 // str.capitalize()
std::string Replace(std::string_view text, std::string_view from, std::string_view to);
// float(text); nullopt where Python raises ValueError.
std::optional<double> ParseFloat(std::string_view text);

// Levenshtein distance of code points.
size_t EditDistance(std::u32string_view a, std::u32string_view b);

}  // namespace mobilevlm::eval
