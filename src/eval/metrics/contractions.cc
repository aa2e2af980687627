#include "eval/metrics/contractions.h"

#include <algorithm>
#include <map>
#include <string>

namespace mobilevlm::eval {
namespace {

// The words that are written without their apostrophes. Of the official table only what begins with "I" is
// left out, which cannot occur in lower-cased text.
constexpr std::string_view kWords[] = {
    "ain't",     "aren't",      "can't",        "could've",    "couldn't",   "didn't",    "doesn't",
    "don't",     "hadn't",      "hasn't",       "haven't",     "he'd",       "he's",      "how'd",
    "how'll",    "how's",       "isn't",        "it'd",        "it'll",      "ma'am",     "mightn't",
    "might've",  "mustn't",     "must've",      "needn't",     "not've",     "o'clock",   "oughtn't",
    "shan't",    "should've",   "shouldn't",    "somebody'll", "somebody's", "someone'd", "someone'll",
    "someone's", "something'd", "something'll", "that's",      "there'd",    "there're",  "there's",
    "they'd",    "they'll",     "they're",      "they've",     "'twas",      "wasn't",    "we've",
    "weren't",   "what'll",     "what're",      "what's",      "what've",    "when's",    "where'd",
    "where's",   "where've",    "who'd",        "who'll",      "who's",      "who've",    "why'll",
    "why're",    "why's",       "won't",        "would've",    "wouldn't",   "y'all",     "you'd",
    "you'll",    "you're",      "you've",
};

struct Irregular {
  std::string_view from, to;
};
// One apostrophe of two, and the table's own slip: "somebody'd" loses its apostrophe.
constexpr Irregular kIrregular[] = {
    {"couldn'tve", "couldn't've"},
    {"couldnt've", "couldn't've"},
    {"hadn'tve", "hadn't've"},
    {"hadnt've", "hadn't've"},
    {"mightn'tve", "mightn't've"},
    {"mightnt've", "mightn't've"},
    {"shouldn'tve", "shouldn't've"},
    {"shouldnt've", "shouldn't've"},
    {"wouldn'tve", "wouldn't've"},
    {"wouldnt've", "wouldn't've"},
    {"hed've", "he'd've"},
    {"he'dve", "he'd've"},
    {"itd've", "it'd've"},
    {"it'dve", "it'd've"},
    {"somebodyd've", "somebody'd've"},
    {"somebody'dve", "somebody'd've"},
    {"someoned've", "someone'd've"},
    {"someone'dve", "someone'd've"},
    {"somethingd've", "something'd've"},
    {"something'dve", "something'd've"},
    {"thered've", "there'd've"},
    {"there'dve", "there'd've"},
    {"theyd've", "they'd've"},
    {"they'dve", "they'd've"},
    {"wed've", "we'd've"},
    {"we'dve", "we'd've"},
    {"whod've", "who'd've"},
    {"who'dve", "who'd've"},
    {"youd've", "you'd've"},
    {"you'dve", "you'd've"},
    {"shed've", "she'd've"},
    {"she'dve", "she'd've"},
    {"ow's'at", "'ow's'at"},
    {"'ows'at", "'ow's'at"},
    {"'ow'sat", "'ow's'at"},
    {"somebody'd", "somebodyd"},
    {"yall'll", "y'all'll"},
    {"y'allll", "y'all'll"},
    {"yall'd've", "y'all'd've"},
    {"y'alld've", "y'all'd've"},
    {"y'all'dve", "y'all'd've"},
};

std::map<std::string, std::string_view, std::less<>> MakeTable() {
  std::map<std::string, std::string_view, std::less<>> table;
  for (const std::string_view word : kWords) {
    std::string bare(word);
    std::erase(bare, '\'');
    table.emplace(std::move(bare), word);
  }
  for (const Irregular& entry : kIrregular) table.emplace(entry.from, entry.to);
  return table;
}

}  // namespace

std::string_view Uncontract(std::string_view word) {
  static const auto table = MakeTable();
  const auto found = table.find(word);
  return found == table.end() ? word : found->second;
}

}  // namespace mobilevlm::eval
