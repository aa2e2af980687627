#include "sample/token_constraint.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "base/check.h"

namespace mobilevlm {
namespace {

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
constexpr size_t kKnownStates = 64;

}  // namespace

TokenTrie::TokenTrie(std::span<const std::string_view> pieces) : pieces_(pieces.begin(), pieces.end()) {
  std::vector<int> order(pieces_.size());
  std::iota(order.begin(), order.end(), 0);
  std::erase_if(order, [&](int id) { return piece(id).empty(); });
  std::sort(order.begin(), order.end(),
            [&](int a, int b) { return piece(a) != piece(b) ? piece(a) < piece(b) : a < b; });
  std::vector<uint32_t> open;  // nodes from the root to the last piece
  std::string_view last;
  const auto close = [&](size_t depth) {
    for (; open.size() > depth; open.pop_back())
      nodes_[open.back()].end = static_cast<uint32_t>(nodes_.size());
  };
  for (const int id : order) {
    const std::string_view bytes = piece(id);
    const auto common =
        std::mismatch(last.begin(), last.end(), bytes.begin(), bytes.end()).first - last.begin();
    close(static_cast<size_t>(common));
    const uint32_t token = static_cast<uint32_t>(tokens_.size());
    for (size_t i = static_cast<size_t>(common); i < bytes.size(); ++i) {
      open.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back({static_cast<unsigned char>(bytes[i]), static_cast<uint32_t>(i + 1), 0, token, token});
    }
    tokens_.push_back(id);
    nodes_[open.back()].last_token = token + 1;
    longest_ = std::max(longest_, bytes.size());
    last = bytes;
  }
  close(0);
}

TokenConstraint::TokenConstraint(std::shared_ptr<const Grammar> grammar, const TokenTrie& trie)
    : grammar_(std::move(grammar)),
      trie_(trie),
      matcher_(*grammar_),
      state_(matcher_.Start()),
      path_(trie.longest() + 1) {}

TokenConstraint::Allowed TokenConstraint::Search(const GrammarMatcher::State& state, size_t left) {
  Allowed allowed;
  allowed.tokens.assign(trie_.vocab(), false);
  path_[0] = state;
  const std::vector<TokenTrie::Node>& nodes = trie_.nodes();
  for (size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    GrammarMatcher::State& here = path_[node.depth];
    matcher_.Advance(path_[node.depth - 1], node.byte, here);
    if (here.empty()) {
      i = node.end;
      continue;
    }
    ++i;
    if (node.first_token == node.last_token) continue;
    const int bytes_left = matcher_.BytesLeft(here);
    if (static_cast<size_t>(bytes_left) > left) continue;
    allowed.most_bytes_left = std::max(allowed.most_bytes_left, bytes_left);
    allowed.any = true;
    for (uint32_t t = node.first_token; t < node.last_token; ++t) {
      allowed.tokens[static_cast<size_t>(trie_.tokens()[t])] = true;
    }
  }
  return allowed;
}

bool TokenConstraint::Allows(int id, size_t left) {
  const std::string_view bytes = trie_.piece(id);
  if (bytes.empty()) return false;
  path_[0] = state_;
  for (size_t i = 0; i < bytes.size(); ++i) {
    matcher_.Advance(path_[i], static_cast<unsigned char>(bytes[i]), path_[i + 1]);
    if (path_[i + 1].empty()) return false;
  }
  return static_cast<size_t>(matcher_.BytesLeft(path_[bytes.size()])) <= left;
}

void TokenConstraint::Mask(size_t left, std::span<float> logits) {
  MVLM_CHECK(logits.size() == trie_.vocab(), "{} logits for {} tokens", logits.size(), trie_.vocab());
  auto found = known_.find(state_);
  if (found == known_.end()) {
    if (known_.size() == kKnownStates) known_.clear();
    found = known_.emplace(state_, Search(state_, kNoLimit)).first;
  }
  const Allowed* allowed = &found->second;
  Allowed within;
  if (static_cast<size_t>(allowed->most_bytes_left) > left) {
    within = Search(state_, left);
    if (within.any) allowed = &within;
  }
  for (size_t id = 0; id < logits.size(); ++id) {
    if (!allowed->tokens[id]) logits[id] = -std::numeric_limits<float>::infinity();
  }
}

void TokenConstraint::Accept(int id) {
  GrammarMatcher::State next;
  for (const char c : trie_.piece(id)) {
    matcher_.Advance(state_, static_cast<unsigned char>(c), next);
    std::swap(state_, next);
  }
  MVLM_CHECK(!state_.empty(), "token {} does not fit", id);
}

}  // namespace mobilevlm
