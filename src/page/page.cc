#include "page/page.h"

#include <algorithm>
#include <cstdint>

#include "base/base64.h"
#include "image/png_write.h"
#include "image/resize_bicubic.h"

namespace mobilevlm::page {
namespace {

constexpr std::string_view kStyle = R"css(
:root { --paper: #fcfcfb; --ink: #1c2024; --dim: #636a71; --rule: #e2e4e6; --card: #ffffff }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171a; --ink: #e6e8ea; --dim: #9aa2aa; --rule: #2b3036; --card: #1b1f23 }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1200px; padding: 1.2rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; margin: .2rem 0 .2rem }
h2 { font-size: 1.2rem; margin: 2rem 0 .6rem; border-top: 1px solid var(--rule); padding-top: 1rem }
p.sub { color: var(--dim); margin: 0 0 1rem } p.note { color: var(--dim); max-width: 46rem }
.facts { display: flex; flex-wrap: wrap; gap: .4rem 1.6rem; margin: .6rem 0 .8rem; padding: 0; list-style: none }
.facts b { display: block; font-size: 1.15rem; font-variant-numeric: tabular-nums }
.facts span { color: var(--dim); font-size: .85rem }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); gap: .8rem;
  align-items: start }
figure { margin: 0; padding: .6rem; background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
  min-width: 0 }
figcaption { font-weight: 600; font-size: .9rem; margin-bottom: .3rem }
svg { width: 100%; height: auto; display: block }
svg text { fill: var(--dim); font: 12px system-ui, sans-serif } svg text.ink { fill: var(--ink) }
svg .grid { stroke: var(--rule); stroke-width: 1 }
svg rect, svg circle { fill: currentColor }
svg polyline { fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linejoin: round }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; font-size: .8rem; margin-top: .3rem }
.c0 { color: #2f6fde } .c1 { color: #d9622b } .c2 { color: #2a9d6f } .c3 { color: #b14cc4 } .c4 { color: #c39b12 }
.c5 { color: #1f9bb5 } .c6 { color: #d2456f } .c7 { color: #6d7f2a } .c8 { color: #7a6ff0 } .c9 { color: #8a8f96 }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 230px), 1fr)); gap: .8rem }
.cards.pairs { grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)) }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: .6rem; min-width: 0 }
.card img { max-width: 100%; height: auto; border-radius: 4px; display: block; margin: 0 auto .5rem }
.card p { margin: .15rem 0 } .card .q { color: var(--dim); white-space: pre-line }
.card .tag { font-size: .75rem; color: var(--dim) }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .6rem }
.bad { color: #d2456f } .good { color: #2a9d6f }
pre { overflow-x: auto; font-size: .8rem }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .85rem; width: 100%;
  overflow-wrap: normal }
th, td { padding: .25rem .6rem; text-align: left; border-bottom: 1px solid var(--rule) }
th { color: var(--dim); font-weight: 600; white-space: nowrap }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
details { margin: .8rem 0 } summary { cursor: pointer; font-weight: 600 }
footer { color: var(--dim); font-size: .85rem; margin-top: 2rem }
)css";

// The length of the valid UTF-8 character at the beginning, 0 if there is none.
size_t CharacterSize(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(i < text.size() ? text[i] : 0); };
  const unsigned char first = byte(0);
  const size_t size = first < 0x80                    ? 1
                      : first >= 0xC2 && first < 0xE0 ? 2
                      : first >= 0xE0 && first < 0xF0 ? 3
                      : first >= 0xF0 && first < 0xF5 ? 4
                                                      : 0;
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool outside = (first == 0xED && byte(1) >= 0xA0) || (first == 0xF4 && byte(1) >= 0x90);
  return overlong || outside ? 0 : size;
}

}  // namespace

std::string EscapeHtml(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t size = CharacterSize(text);
    if (size == 0) {
      out += "\xEF\xBF\xBD";
      text.remove_prefix(1);
      continue;
    }
    switch (text[0]) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if (size > 1 || static_cast<unsigned char>(text[0]) >= ' ' || text[0] == '\n')
          out += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
  return out;
}

Result<std::string> ImageHtml(const Image& picture, int side, std::string_view alternative) {
  const int longer = std::max(picture.width, picture.height);
  const auto scaled = [&](int extent) {
    return longer <= side ? extent : std::max(1, extent * side / longer);
  };
  const int width = scaled(picture.width), height = scaled(picture.height);
  MVLM_ASSIGN(const std::string png,
              EncodePng(longer <= side ? picture : ResizeBicubic(picture, width, height)));
  return fmt::format("<img width=\"{}\" height=\"{}\" alt=\"{}\" src=\"data:image/png;base64,{}\">", width,
                     height, EscapeHtml(alternative), EncodeBase64(png));
}

std::string FactsHtml(const std::vector<std::pair<std::string, std::string>>& facts) {
  std::string out = "<ul class=\"facts\">";
  for (const auto& [number, what] : facts) {
    out += fmt::format("<li><b>{}</b><span>{}</span></li>", EscapeHtml(number), EscapeHtml(what));
  }
  out += "</ul>\n";
  return out;
}

std::string TableHtml(const std::vector<std::vector<std::string>>& rows, size_t text_columns) {
  std::string out = "<div class=\"wide\"><table>\n";
  for (size_t r = 0; r < rows.size(); ++r) {
    out += "<tr>";
    for (size_t c = 0; c < rows[r].size(); ++c) {
      out += fmt::format("<{0}{1}>{2}</{0}>", r == 0 ? "th" : "td", c >= text_columns ? " class=\"n\"" : "",
                         EscapeHtml(rows[r][c]));
    }
    out += "</tr>\n";
  }
  out += "</table></div>\n";
  return out;
}

std::string FoldHtml(std::string_view title, std::string_view body) {
  return fmt::format("<details><summary>{}</summary>{}</details>\n", EscapeHtml(title), body);
}

std::string PageHtml(std::string_view title, std::string_view subtitle, std::string_view body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{0}</title><style>{1}</style></head>\n<body>\n<h1>{0}</h1>\n<p class=\"sub\">{2}</p>\n{3}"
      "</body></html>\n",
      EscapeHtml(title), kStyle, EscapeHtml(subtitle), body);
}

std::string Shorten(std::string_view text, size_t most) {
  size_t characters = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) continue;
    if (++characters > most) return std::string(text.substr(0, i)) + "\u2026";
  }
  return std::string(text);
}

std::string Thousands(uint64_t number) {
  const std::string digits = fmt::format("{}", number);
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

}  // namespace mobilevlm::page
