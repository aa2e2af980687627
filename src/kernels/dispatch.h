// Which kernel table this process uses. Chosen once at start and handed on in a context.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/kernels.h"

namespace mobilevlm {

// `forced` is the value of MOBILEVLM_ISA: "" means the best this CPU can run; an unknown name, or one that
// this build or this CPU lacks, is an Error that lists what can run.
Result<const KernelTable*> ChooseKernels(std::string_view forced);

// Every table this CPU can run, "generic" first, the best last. Tests run all of them.
std::vector<const KernelTable*> RunnableKernels();

}  // namespace mobilevlm
