// Which kernel table this process uses. Chosen once at start and handed on in a context.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/kernels.h"

namespace mobilevlm {

// `forced` is the value of MOBILEVLM_ISA: "" means the best this CPU can run; an unknown name, or one that
// this build or this CPU lacks, is an Error that lists what can run.
Result<const KernelTable*> ChooseKernels(std::string_view forced);

// A table of this build, and whether it runs on some CPU.
struct KernelCandidate {
  const KernelTable* table;
  bool runs;
};
// The same among `candidates`, the most general first, which always runs: how another CPU would choose.
Result<const KernelTable*> ChooseKernels(std::string_view forced,
                                         std::span<const KernelCandidate> candidates);

// Every table this CPU can run, "generic" first, the best last. Tests run all of them.
std::vector<const KernelTable*> RunnableKernels();

}  // namespace mobilevlm
