// Gradient checkpointing (torch.utils.checkpoint): a segment forgets what it computed and computes it again
// when its gradient is wanted, so that only one segment's intermediates exist at a time.
#pragma once

#include <torch/torch.h>

#include <functional>

namespace mobilevlm::train {

// body(x), with gradients to x and to `parameters`: everything that body uses and that is trained. `body`
// runs twice with the same precision and dropout guards, perhaps on different threads, and must compute the
// same.
torch::Tensor Recomputed(const torch::Tensor& x, const torch::autograd::variable_list& parameters,
                         std::function<torch::Tensor(const torch::Tensor&)> body);

}  // namespace mobilevlm::train
