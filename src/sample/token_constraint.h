// Which tokens may come next if the text has to follow a grammar.
//
// Tokens are byte strings that know nothing of the grammar's words: one may hold a bracket and half a key. So
// the vocabulary is kept as a trie, and a state of the grammar is driven through it: a branch that does not
// fit is left at its first wrong byte.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sample/grammar.h"

namespace mobilevlm {

// The vocabulary's byte strings. Immutable; safe to share between threads.
class TokenTrie {
 public:
  // [vocab]; an empty string is a token that never fits (control tokens).
  explicit TokenTrie(std::span<const std::string_view> pieces);

  struct Node {
    unsigned char byte;
    uint32_t depth;        // bytes from the root to here, this one included
    uint32_t end;          // index behind the last node below
    uint32_t first_token;  // tokens that end here: [first_token, last_token) of tokens()
    uint32_t last_token;
  };
  const std::vector<Node>& nodes() const { return nodes_; }  // depth first
  const std::vector<int>& tokens() const { return tokens_; }
  std::string_view piece(int id) const { return pieces_[static_cast<size_t>(id)]; }
  size_t vocab() const { return pieces_.size(); }
  size_t longest() const { return longest_; }  // bytes

 private:
  std::vector<std::string> pieces_;
  std::vector<Node> nodes_;
  std::vector<int> tokens_;
  size_t longest_ = 0;
};

// One text. Not thread-safe.
//
// `left` is how many tokens may follow the one in question. A token after which the text could not be ended
// with so many is not allowed, provided another one is: every byte is a token of its own, so a text whose
// schema can be met within the budget is always brought to its end.
class TokenConstraint {
 public:
  // `trie` outlives the constraint.
  TokenConstraint(std::shared_ptr<const Grammar> grammar, const TokenTrie& trie);

  bool Allows(int id, size_t left);

  // Logits [vocab] of tokens that are not allowed become -infinity. The end of the sequence is the caller's:
  // it may come if complete().
  void Mask(size_t left, std::span<float> logits);

  // `id` is allowed.
  void Accept(int id);

  bool complete() const { return GrammarMatcher::CanEnd(state_); }   // the text is whole
  bool finished() const { return GrammarMatcher::MustEnd(state_); }  // and nothing may follow

 private:
  struct Allowed {
    std::vector<bool> tokens;  // [vocab]
    int most_bytes_left = 0;   // behind any of them
    bool any = false;
  };
  Allowed Search(const GrammarMatcher::State& state, size_t left);

  std::shared_ptr<const Grammar> grammar_;
  const TokenTrie& trie_;
  GrammarMatcher matcher_;
  GrammarMatcher::State state_;
  std::vector<GrammarMatcher::State> path_;  // scratch, [longest + 1]
  // States return (inside a string after every token), so what they allow is kept, the budget left aside.
  std::map<GrammarMatcher::State, Allowed> known_;
};

}  // namespace mobilevlm
