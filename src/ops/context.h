// What every op needs besides its operands. One context serves one caller at a time (the pool's rule);
// two engines own two contexts. Ops check shapes with MVLM_CHECK: a wrong shape here is our own mistake,
// the file's shapes were checked when it was loaded.
#pragma once

#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace mobilevlm {

struct OpsContext {
  ThreadPool* pool;
  const KernelTable* kernels;
};

}  // namespace mobilevlm
