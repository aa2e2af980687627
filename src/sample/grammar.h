// Grammars over bytes, and the set of ways a text read so far may be understood (a pushdown automaton,
// simulated; the idea is that of llama.cpp's GBNF).
//
//   GrammarBuilder b;
//   const int digits = b.Rule();
//   b.Alternative(digits, {b.Bytes('0', '9'), b.Call(digits)});
//   b.Alternative(digits, {b.Bytes('0', '9')});
//   Result<Grammar> grammar = b.Build(digits);
//
// A rule must consume a byte before it calls itself (no left recursion). A Grammar is immutable; a
// GrammarMatcher belongs to one text.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace mobilevlm {

using ByteSet = std::bitset<256>;

// A set of bytes or the call of a rule, as GrammarBuilder numbers them.
struct GrammarSymbol {
  bool is_rule = false;
  int index = 0;  // of a byte set, or of a rule
};
using GrammarSequence = std::vector<GrammarSymbol>;

class Grammar {
 public:
  // One place in an alternative: what is read there, and whether the alternative ends behind it.
  struct Place {
    GrammarSymbol symbol;
    bool last = false;
    int bytes_left = 0;  // the fewest that the alternative needs from here on
  };
  static constexpr int kEmpty = -1;  // an alternative without symbols

  int root() const { return root_; }
  const std::vector<int>& alternatives(int rule) const { return rules_[static_cast<size_t>(rule)]; }
  const Place& place(int index) const { return places_[static_cast<size_t>(index)]; }
  const ByteSet& bytes(int index) const { return byte_sets_[static_cast<size_t>(index)]; }

 private:
  friend class GrammarBuilder;
  // The place behind this one in its alternative, or kEmpty.
  int Next(int place) const { return places_[static_cast<size_t>(place)].last ? kEmpty : place + 1; }
  std::vector<std::vector<int>> Callers() const;
  void CountBytes();
  bool IsLeftRecursive() const;

  int root_ = 0;
  std::vector<int> fewest_;              // bytes, per rule
  std::vector<std::vector<int>> rules_;  // per rule its alternatives: an index into places_, or kEmpty
  std::vector<Place> places_;
  std::vector<ByteSet> byte_sets_;
};

class GrammarBuilder {
 public:
  int Rule();  // a new one, without alternatives
  void Alternative(int rule, const GrammarSequence& symbols);
  GrammarSymbol Call(int rule) const { return {.is_rule = true, .index = rule}; }
  GrammarSymbol Bytes(const ByteSet& set);
  GrammarSymbol Bytes(unsigned char first, unsigned char last);
  GrammarSequence Text(std::string_view text);
  // A rule for one of these texts; shared beginnings are read once.
  int OneOf(std::vector<std::string> texts);

  // How large the grammar has become.
  size_t places() const { return grammar_.places_.size(); }

  // An Error if no text follows the grammar, or if a rule can call itself without consuming a byte.
  Result<Grammar> Build(int root);

 private:
  int Branch(std::span<const std::string> texts, size_t depth);

  Grammar grammar_;
};

// A state is a set of stacks: each holds the places that are still to be read, the next one on top. Stacks
// share their tails and equal stacks are one number, so states are cheap to compare.
class GrammarMatcher {
 public:
  using State = std::vector<int>;  // sorted numbers of stacks; kWhole among them: the text may end here

  static constexpr int kWhole = -1;
  static constexpr size_t kMostStacks = 256;  // a state with more is given up: the grammar is too ambiguous

  explicit GrammarMatcher(const Grammar& grammar) : grammar_(grammar) {}

  State Start();
  // The state behind one more byte; empty if it does not fit.
  void Advance(const State& from, unsigned char byte, State& to);

  static bool CanEnd(const State& state) { return !state.empty() && state.front() == kWhole; }
  static bool MustEnd(const State& state) { return CanEnd(state) && state.size() == 1; }
  // The fewest bytes to a whole text. `state` is not empty.
  int BytesLeft(const State& state) const;

 private:
  struct Stack {
    int place;  // a set of bytes
    int below;  // a stack whose place is a rest, or kWhole
    int bytes_left;
  };
  // A rest is a place to continue at once what stands above is read; it may be a call.
  int Intern(int place, int below);
  void Expand(int place, int below, State& to);  // place: kEmpty goes on with `below`
  void Continue(int rest, State& to);

  const Grammar& grammar_;
  std::vector<Stack> stacks_;
  std::unordered_map<uint64_t, int> numbers_;  // of (place, below)
};

}  // namespace mobilevlm
