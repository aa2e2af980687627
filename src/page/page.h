// Self-contained HTML pages: no script, nothing loaded from elsewhere; light and dark, phone and laptop.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "image/image.h"

namespace mobilevlm::page {

// &, <, >, " and ' as entities; bytes that are not valid UTF-8 as U+FFFD.
std::string EscapeHtml(std::string_view text);

// <img> with the picture inside, at most `side` pixels a side.
Result<std::string> ImageHtml(const Image& picture, int side, std::string_view alternative);

// A row of numbers with what they count: {"2,428,000", "samples"}.
std::string FactsHtml(const std::vector<std::pair<std::string, std::string>>& facts);

// A table that scrolls sideways on a phone. The first row is its head; cells are text. Numbers (all columns
// but the first `text_columns`) stand at the right.
std::string TableHtml(const std::vector<std::vector<std::string>>& rows, size_t text_columns = 1);

// <details> that a click opens.
std::string FoldHtml(std::string_view title, std::string_view body);

// The whole page. Sections begin with <h2>, cards stand in <div class="cards"> as <div class="card">, charts
// in <div class="charts">.
std::string PageHtml(std::string_view title, std::string_view subtitle, std::string_view body);

// The first `most` characters of a UTF-8 text, and an ellipsis if there are more.
std::string Shorten(std::string_view text, size_t most);

// 2428000 -> "2,428,000".
std::string Thousands(uint64_t number);

}  // namespace mobilevlm::page
