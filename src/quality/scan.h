// Goes through all samples of a dataset: read and worked on in parallel, a batch at a time, then taken in the
// order of their numbers. Memory is that of one batch. And the plain loop, for what is written.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/thread_pool.h"
#include "data/dataset.h"

namespace mobilevlm::quality {

// How long work is done: on which threads, with a progress line or not, until when.
struct Work {
  ThreadPool& pool;
  bool progress = false;
  const std::atomic<bool>* cancel = nullptr;  // true ends it with an Error

  bool cancelled() const { return cancel != nullptr && *cancel; }
  Status Continue(std::string_view what) const {
    if (cancelled()) return Fail("stopped while {}", what);
    return {};
  }
};

// Sample `s` of [0, dataset.size()) gives parallel(s, sample, thread) -> T, then serial(s, T&) -> Status.
// Progress is shown once a batch, and what a batch has done when it is cancelled is lost: where a sample
// takes long, `batch` is small.
template <class T, class Parallel, class Serial>
Status ScanSamples(const data::Dataset& dataset, const Work& work, const std::string& what, Parallel parallel,
                   Serial serial, uint64_t batch = 2048) {
  std::vector<data::SampleReader> readers(static_cast<size_t>(work.pool.threads()));
  std::vector<T> results(batch);
  std::vector<std::optional<Error>> errors(batch);
  std::optional<Progress> progress;
  if (work.progress) progress.emplace(what, dataset.size());
  for (uint64_t begin = 0; begin < dataset.size(); begin += batch) {
    const uint64_t count = std::min(batch, dataset.size() - begin);
    work.pool.ParallelFor(count, [&](size_t i, size_t thread) {
      if (work.cancelled()) return;
      const auto s = static_cast<uint32_t>(begin + i);
      errors[i].reset();
      auto sample = dataset.Read(s, readers[thread]);
      if (!sample) {
        errors[i] = sample.error();
      } else {
        results[i] = parallel(s, *sample, thread);
      }
    });
    MVLM_TRY(work.Continue(what));
    for (uint64_t i = 0; i < count; ++i) {
      if (errors[i]) return tl::unexpected(*errors[i]);
      MVLM_TRY(serial(static_cast<uint32_t>(begin + i), results[i]));
    }
    if (progress) progress->Update(begin + count);
  }
  return {};
}

// step(i) -> Status for every i of [0, count), in order.
template <class Step>
Status ForEach(const Work& work, const std::string& what, uint64_t count, Step step) {
  constexpr uint64_t kBetween = 1024;
  std::optional<Progress> progress;
  if (work.progress) progress.emplace(what, count);
  for (uint64_t i = 0; i < count; ++i) {
    if (i % kBetween == 0) {
      MVLM_TRY(work.Continue(what));
      if (progress) progress->Update(i);
    }
    MVLM_TRY(step(i));
  }
  if (progress) progress->Update(count);
  return {};
}

}  // namespace mobilevlm::quality
