#include "data/skip_list.h"

#include <algorithm>

namespace mobilevlm::data {
namespace {
constexpr uint64_t kLeastSeen = 1000;
}  // namespace

SkipList::SkipList(double limit, uint64_t samples)
    : limit_(limit), least_seen_(std::min(kLeastSeen, samples)) {}

void SkipList::Seen(uint64_t more) {
  const std::lock_guard lock(mutex_);
  seen_ += more;
}

void SkipList::Skip(uint64_t sample, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (reasons_.empty()) first_ = reason;
  reasons_.try_emplace(sample, reason);
}

SkipList::Counts SkipList::counts() const {
  const std::lock_guard lock(mutex_);
  return {seen_, reasons_.size()};
}

Status SkipList::Check(const Counts& total) const {
  const uint64_t seen = std::max(total.seen, least_seen_);
  const double allowed = limit_ > 0 ? std::max(1.0, limit_ * static_cast<double>(seen)) : 0;
  if (static_cast<double>(total.skipped) <= allowed) return {};
  const std::lock_guard lock(mutex_);
  return Fail("{} of {} samples cannot be used, more than {:g} %; the first: {}", total.skipped, seen,
              100 * limit_, first_.empty() ? "another process met it" : first_);
}

std::vector<std::string> SkipList::Reasons() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<uint64_t, std::string>> sorted(reasons_.begin(), reasons_.end());
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::string> lines;
  for (auto& [sample, reason] : sorted) lines.push_back(std::move(reason));
  return lines;
}

}  // namespace mobilevlm::data
