#include "data/question_kind.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

namespace mobilevlm::data {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

bool HasAny(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return text.find(word) != std::string_view::npos; });
}

constexpr uint32_t kShortAnswer = 5;  // words
constexpr size_t kDialogue = 3;       // rounds

}  // namespace

std::string_view QuestionKind(const Sample& sample) {
  if (!sample.kind.empty()) return sample.kind;
  if (sample.turns.empty()) return "none";
  if (sample.turns.size() >= kDialogue) return "dialogue";
  const std::string question = Lower(sample.turns.front().user);
  const std::string answer = Lower(sample.turns.front().assistant);
  const bool is_short = sample.answer_words <= kShortAnswer * sample.turns.size();
  if (HasAny(question, {"option's letter", "choose the correct", "\na. ", "\n(a)"})) return "choice";
  if (HasAny(question, {"ocr token", "what is written", "what does it say", "what does the text",
                        "read the text", "title of this book", "who wrote this book"})) {
    return "read text";
  }
  if (answer.starts_with("yes") || answer.starts_with("no.") || answer == "no" || answer.starts_with("no,")) {
    return "yes or no";
  }
  if (HasAny(question, {"how many", "number of"})) return "count";
  if (is_short && HasAny(question, {"what color", "what colour", "which color", "which colour"}))
    return "colour";
  if (is_short && HasAny(question, {"where "})) return "where";
  if (!is_short && HasAny(question, {"describe", "caption", "summary of", "summarize", "what is this photo",
                                     "what do you see", "explain the visual"})) {
    return "caption";
  }
  // A picture with nothing but a text under it: stage 1.
  if (question == kImageMark || question == std::string(kImageMark) + "\n") return "caption";
  return is_short ? "short answer" : "long answer";
}

}  // namespace mobilevlm::data
