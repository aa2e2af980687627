// What every op needs besides its operands. One context serves one caller at a time (the pool's rule);
// two engines own two contexts. Ops check shapes with MVLM_CHECK: a wrong shape here is our own mistake,
// the file's shapes were checked when it was loaded.
#pragma once

#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace mobilevlm {

struct LinearScratch;  // ops/linear_scratch.h
class LinearObserver;  // ops/linear.h

struct OpsContext {
  ThreadPool* pool;
  const KernelTable* kernels;
  // Buffers that Linear keeps between calls; nullptr: it allocates for each call.
  LinearScratch* scratch = nullptr;
  // Activations stay float even where the weights are quantised: slow, and what the reference computes.
  bool float_activations = false;
  // Sees what Linear multiplies; nullptr: nobody does.
  LinearObserver* observer = nullptr;
};

}  // namespace mobilevlm
