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

Status SkipList::Skip(uint64_t sample, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (reasons_.empty()) first_ = reason;
  reasons_.try_emplace(sample, reason);
  const uint64_t seen = std::max(seen_, least_seen_);
  const auto skipped = static_cast<double>(reasons_.size());
  const double allowed = limit_ > 0 ? std::max(1.0, limit_ * static_cast<double>(seen)) : 0;
  if (skipped <= allowed) return {};
  return Fail("{} of {} samples cannot be used, more than {:g} %; the first: {}", reasons_.size(), seen,
              100 * limit_, first_);
}

uint64_t SkipList::skipped() const {
  const std::lock_guard lock(mutex_);
  return reasons_.size();
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
