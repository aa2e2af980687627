#include "text/bpe_merge.h"

#include <cstdint>
#include <queue>
#include <utility>

namespace mobilevlm {
namespace {

constexpr int64_t kNone = -1;

class Merger {
 public:
  Merger(const MergeTable& table, const std::vector<MergeSymbol>& symbols) : table_(table) {
    const auto count = static_cast<int64_t>(symbols.size());
    nodes_.reserve(symbols.size());
    for (int64_t i = 0; i < count; ++i) {
      const MergeSymbol& symbol = symbols[static_cast<size_t>(i)];
      nodes_.push_back({symbol.text, i - 1, i + 1 < count ? i + 1 : kNone, symbol.frozen});
    }
  }

  std::vector<std::string_view> Run() {
    std::vector<Candidate> candidates;
    candidates.reserve(nodes_.size());
    for (int64_t i = 1; i < static_cast<int64_t>(nodes_.size()); ++i) Consider(i - 1, i, candidates);
    heap_ = Heap(WorseThan(), std::move(candidates));  // linear, unlike pushing one by one

    std::vector<Candidate> fresh;
    while (!heap_.empty()) {
      const Candidate best = heap_.top();
      heap_.pop();
      if (!IsCurrent(best)) continue;
      Join(best);
      fresh.clear();
      Consider(node(best.left).previous, best.left, fresh);
      Consider(best.left, node(best.left).next, fresh);
      for (const Candidate& candidate : fresh) heap_.push(candidate);
    }

    std::vector<std::string_view> out;
    for (int64_t i = nodes_.empty() ? kNone : 0; i != kNone; i = node(i).next) TakeApart(node(i).text, out);
    return out;
  }

 private:
  struct Node {
    std::string_view text;  // empty once joined into its left neighbour
    int64_t previous;
    int64_t next;
    bool frozen;
  };
  struct Candidate {
    float score;
    uint32_t size;  // bytes of both when it was entered: differs once one of them has grown
    int64_t left;
    int64_t right;
  };
  struct WorseThan {
    bool operator()(const Candidate& a, const Candidate& b) const {
      return a.score < b.score || (a.score == b.score && a.left > b.left);
    }
  };
  using Heap = std::priority_queue<Candidate, std::vector<Candidate>, WorseThan>;

  Node& node(int64_t i) { return nodes_[static_cast<size_t>(i)]; }

  // Enters the pair into `candidates` if together they are a piece.
  void Consider(int64_t left, int64_t right, std::vector<Candidate>& candidates) {
    if (left == kNone || right == kNone || node(left).frozen || node(right).frozen) return;
    const std::string_view a = node(left).text;
    const std::string_view b = node(right).text;
    const std::string_view joined(a.data(), a.size() + b.size());
    if (joined.size() > table_.longest_piece) return;
    const auto found = table_.by_piece.find(joined);
    if (found == table_.by_piece.end()) return;
    const auto id = static_cast<size_t>(found->second);
    candidates.push_back({table_.vocab.scores[id], static_cast<uint32_t>(joined.size()), left, right});
    if (table_.vocab.types[id] == PieceType::kUnused) parts_[joined] = {a, b};
  }

  bool IsCurrent(const Candidate& candidate) {
    const std::string_view a = node(candidate.left).text;
    const std::string_view b = node(candidate.right).text;
    return !a.empty() && !b.empty() && a.size() + b.size() == candidate.size;
  }

  void Join(const Candidate& pair) {
    Node& left = node(pair.left);
    Node& right = node(pair.right);
    left.text = {left.text.data(), left.text.size() + right.text.size()};
    left.next = right.next;
    if (right.next != kNone) node(right.next).previous = pair.left;
    right.text = {};
  }

  void TakeApart(std::string_view text, std::vector<std::string_view>& out) const {
    const auto found = parts_.find(text);
    if (found == parts_.end()) {
      out.push_back(text);
      return;
    }
    TakeApart(found->second.first, out);
    TakeApart(found->second.second, out);
  }

  const MergeTable& table_;
  std::vector<Node> nodes_;
  Heap heap_;
  std::unordered_map<std::string_view, std::pair<std::string_view, std::string_view>>
      parts_;  // unused pieces
};

}  // namespace

std::vector<std::string_view> MergeSymbols(const MergeTable& table, const std::vector<MergeSymbol>& symbols) {
  return Merger(table, symbols).Run();
}

}  // namespace mobilevlm
