// The pieces that the HTML pages of a run and of a comparison are made of.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "eval/score_sheet.h"

namespace mobilevlm::eval {

std::string EscapeHtml(std::string_view text);
// A whole page: head, style, `body`.
std::string HtmlPage(std::string_view title, std::string_view body);
// Cells are HTML; the first row is the head.
std::string HtmlTable(const std::vector<std::vector<std::string>>& rows);
// Horizontal bars with their 95 % intervals, as inline SVG; one line a figure.
std::string BarChart(const std::vector<Figure>& figures);

}  // namespace mobilevlm::eval
