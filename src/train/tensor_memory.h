// Where libtorch gets the memory of its tensors.
#pragma once

namespace mobilevlm::train {

// From here on large CPU tensors of this process live in a BlockCache. Called once, before the first tensor.
void KeepTensorMemory();

}  // namespace mobilevlm::train
