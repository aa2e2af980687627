#include "sample/grammar.h"

#include <algorithm>
#include <deque>
#include <numeric>
#include <utility>

#include "base/check.h"

namespace mobilevlm {
namespace {

constexpr int kUnreachable = 1 << 28;  // bytes; sums of a few of them do not overflow

}  // namespace

int GrammarBuilder::Rule() {
  grammar_.rules_.emplace_back();
  return static_cast<int>(grammar_.rules_.size()) - 1;
}

void GrammarBuilder::Alternative(int rule, const GrammarSequence& symbols) {
  std::vector<int>& alternatives = grammar_.rules_[static_cast<size_t>(rule)];
  alternatives.push_back(symbols.empty() ? Grammar::kEmpty : static_cast<int>(grammar_.places_.size()));
  for (size_t i = 0; i < symbols.size(); ++i) {
    grammar_.places_.push_back({.symbol = symbols[i], .last = i + 1 == symbols.size()});
  }
}

GrammarSymbol GrammarBuilder::Bytes(const ByteSet& set) {
  std::vector<ByteSet>& sets = grammar_.byte_sets_;
  const auto found = std::find(sets.begin(), sets.end(), set);
  const auto index = found - sets.begin();
  if (found == sets.end()) sets.push_back(set);
  return {.is_rule = false, .index = static_cast<int>(index)};
}

GrammarSymbol GrammarBuilder::Bytes(unsigned char first, unsigned char last) {
  ByteSet set;
  for (int byte = first; byte <= last; ++byte) set.set(static_cast<size_t>(byte));
  return Bytes(set);
}

GrammarSequence GrammarBuilder::Text(std::string_view text) {
  GrammarSequence sequence;
  for (const char c : text)
    sequence.push_back(Bytes(static_cast<unsigned char>(c), static_cast<unsigned char>(c)));
  return sequence;
}

int GrammarBuilder::OneOf(std::vector<std::string> texts) {
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  return Branch(texts, 0);
}

// `texts`, sorted, agree up to `depth`; the rule reads what is behind it.
int GrammarBuilder::Branch(std::span<const std::string> texts, size_t depth) {
  const int rule = Rule();
  for (size_t begin = 0, end = 0; begin < texts.size(); begin = end) {
    if (texts.size() == 1 || texts[begin].size() == depth) {
      Alternative(rule, Text(std::string_view(texts[begin]).substr(depth)));
      end = begin + 1;
      continue;
    }
    const char byte = texts[begin][depth];
    while (end < texts.size() && texts[end].size() > depth && texts[end][depth] == byte) ++end;
    // What they share is read in one sequence. They are sorted: all share what the first and the last do.
    const std::string &first = texts[begin], &last = texts[end - 1];
    size_t shared = depth + 1;
    while (shared < first.size() && shared < last.size() && first[shared] == last[shared]) ++shared;
    GrammarSequence one = Text(std::string_view(first).substr(depth, shared - depth));
    one.push_back(Call(Branch(texts.subspan(begin, end - begin), shared)));
    Alternative(rule, one);
  }
  return rule;
}

Result<Grammar> GrammarBuilder::Build(int root) {
  grammar_.root_ = root;
  grammar_.CountBytes();
  if (grammar_.IsLeftRecursive()) return Fail("the grammar refers to itself before anything is written");
  if (grammar_.fewest_[static_cast<size_t>(root)] >= kUnreachable) {
    return Fail("no finite text follows the grammar");
  }
  return std::move(grammar_);
}

// A rule that reaches itself through first symbols, empty rules in front of them left out.
bool Grammar::IsLeftRecursive() const {
  enum Mark : uint8_t { kNew, kOpen, kDone };
  std::vector<Mark> marks(rules_.size(), kNew);
  // Depth first with a stack of our own: the chain may be as long as there are rules.
  std::vector<std::pair<int, bool>> work;
  for (size_t start = 0; start < rules_.size(); ++start) {
    work.push_back({static_cast<int>(start), false});
    while (!work.empty()) {
      const auto [rule, leave] = work.back();
      work.pop_back();
      Mark& mark = marks[static_cast<size_t>(rule)];
      if (leave) {
        mark = kDone;
        continue;
      }
      if (mark == kOpen) return true;
      if (mark == kDone) continue;
      mark = kOpen;
      work.push_back({rule, true});
      for (const int first : rules_[static_cast<size_t>(rule)]) {
        for (int i = first; i != kEmpty; i = Next(i)) {
          const GrammarSymbol& symbol = places_[static_cast<size_t>(i)].symbol;
          if (!symbol.is_rule) break;
          work.push_back({symbol.index, false});
          if (fewest_[static_cast<size_t>(symbol.index)] > 0) break;
        }
      }
    }
  }
  return false;
}

// For every rule, the rules that call it.
std::vector<std::vector<int>> Grammar::Callers() const {
  std::vector<std::vector<int>> callers(rules_.size());
  for (size_t rule = 0; rule < rules_.size(); ++rule) {
    for (const int first : rules_[rule]) {
      for (int i = first; i != kEmpty; i = Next(i)) {
        const GrammarSymbol& symbol = places_[static_cast<size_t>(i)].symbol;
        if (symbol.is_rule) callers[static_cast<size_t>(symbol.index)].push_back(static_cast<int>(rule));
      }
    }
  }
  return callers;
}

// The fewest bytes of every rule, by relaxation: a rule is looked at again when one that it calls has become
// shorter.
void Grammar::CountBytes() {
  std::vector<int>& fewest = fewest_;
  fewest.assign(rules_.size(), kUnreachable);
  const std::vector<std::vector<int>> callers = Callers();
  std::deque<int> work(rules_.size());
  std::iota(work.rbegin(), work.rend(), 0);  // the last first: most rules call later ones
  std::vector<uint8_t> waits(rules_.size(), 1);
  while (!work.empty()) {
    const size_t rule = static_cast<size_t>(work.front());
    work.pop_front();
    waits[rule] = 0;
    int least = fewest[rule];
    for (const int first : rules_[rule]) {
      int bytes = 0;
      for (int i = first; i != kEmpty; i = Next(i)) {
        const GrammarSymbol& symbol = places_[static_cast<size_t>(i)].symbol;
        bytes += symbol.is_rule ? fewest[static_cast<size_t>(symbol.index)] : 1;
        bytes = std::min(bytes, kUnreachable);
      }
      least = std::min(least, bytes);
    }
    if (least == fewest[rule]) continue;
    fewest[rule] = least;
    for (const int caller : callers[rule]) {
      if (std::exchange(waits[static_cast<size_t>(caller)], 1) == 0) work.push_back(caller);
    }
  }
  for (size_t i = places_.size(); i-- > 0;) {
    Place& place = places_[i];
    const int own = place.symbol.is_rule ? fewest[static_cast<size_t>(place.symbol.index)] : 1;
    place.bytes_left = std::min(own + (place.last ? 0 : places_[i + 1].bytes_left), kUnreachable);
  }
}

int GrammarMatcher::Intern(int place, int below) {
  const uint64_t key =
      static_cast<uint64_t>(static_cast<uint32_t>(place)) << 32 | static_cast<uint32_t>(below);
  const auto [entry, is_new] = numbers_.try_emplace(key, static_cast<int>(stacks_.size()));
  if (is_new) {
    const int rest = below == kWhole ? 0 : stacks_[static_cast<size_t>(below)].bytes_left;
    stacks_.push_back({place, below, std::min(grammar_.place(place).bytes_left + rest, kUnreachable)});
  }
  return entry->second;
}

void GrammarMatcher::Continue(int rest, State& to) {
  if (rest == kWhole) {
    to.push_back(kWhole);
    return;
  }
  const Stack stack = stacks_[static_cast<size_t>(rest)];
  Expand(stack.place, stack.below, to);
}

void GrammarMatcher::Expand(int place, int below, State& to) {
  if (to.size() > kMostStacks) return;
  if (place == Grammar::kEmpty) return Continue(below, to);
  const Grammar::Place& here = grammar_.place(place);
  if (!here.symbol.is_rule) {
    to.push_back(Intern(place, below));
    return;
  }
  // Where an alternative ends with the call, nothing of it is kept, so that loops do not pile up.
  const int rest = here.last ? below : Intern(place + 1, below);
  for (const int alternative : grammar_.alternatives(here.symbol.index)) Expand(alternative, rest, to);
}

GrammarMatcher::State GrammarMatcher::Start() {
  State state;
  for (const int alternative : grammar_.alternatives(grammar_.root())) Expand(alternative, kWhole, state);
  std::sort(state.begin(), state.end());
  state.erase(std::unique(state.begin(), state.end()), state.end());
  return state;
}

void GrammarMatcher::Advance(const State& from, unsigned char byte, State& to) {
  to.clear();
  for (const int number : from) {
    if (number == kWhole) continue;
    const Stack stack = stacks_[static_cast<size_t>(number)];
    const Grammar::Place& here = grammar_.place(stack.place);
    if (!grammar_.bytes(here.symbol.index).test(byte)) continue;
    Expand(here.last ? Grammar::kEmpty : stack.place + 1, stack.below, to);
  }
  std::sort(to.begin(), to.end());
  to.erase(std::unique(to.begin(), to.end()), to.end());
  if (to.size() > kMostStacks) to.clear();
}

int GrammarMatcher::BytesLeft(const State& state) const {
  if (CanEnd(state)) return 0;
  int fewest = kUnreachable;
  for (const int number : state) fewest = std::min(fewest, stacks_[static_cast<size_t>(number)].bytes_left);
  return fewest;
}

}  // namespace mobilevlm
