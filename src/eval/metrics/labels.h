// What a generated answer means, where the answer is one of a few: yes or no (POPE, MME), a letter
// (ScienceQA, SEED-Bench, MMBench). Pure functions that mirror the named implementations.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mobilevlm::eval {

enum class YesNo { kNo = 0, kYes = 1, kOther = -1 };

// LLaVA's eval_pope.py: the first sentence holds the word No, no or not, else yes.
YesNo PopeLabel(std::string_view text);

// MME's calculation.py: the answer, or its first four characters, say yes or no, else other.
YesNo MmeLabel(std::string_view text);
// lmms-eval: the lower-cased, stripped answer is exactly the word.
bool PopeMatchLmms(std::string_view text, std::string_view word);

// lmms-eval: stripped, full stops deleted, y and n accepted.
YesNo MmeLabelLmms(std::string_view text);

inline constexpr int kNoChoice = -1;

// LLaVA's eval_science_qa.py: the index of the choice, or kNoChoice. There are `choices` choices.
int ScienceQaChoice(std::string_view text, int choices);
// lmms-eval: whether the answer is the letter (whatever its case) or begins with it and a full stop.
bool ScienceQaMatchLmms(std::string_view text, std::string_view letter);

// The options of a question by letter, in order.
using Options = std::vector<std::pair<char, std::string>>;

enum class MmBenchRule {
  kVlmEvalKit,   // letters that exist; 'Z' where the answer refuses
  kOpenCompass,  // tools/eval_mmbench.py, the tool of the first releases; letters A to E
};
// The letter as an index (A = 0, Z = 25), or kNoChoice where a judge would be asked.
int MmBenchChoice(std::string_view text, const Options& options, MmBenchRule rule);

}  // namespace mobilevlm::eval
