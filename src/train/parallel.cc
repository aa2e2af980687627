#include "train/parallel.h"

#include <exception>

#include "base/check.h"
#include "train/modules/functional.h"

namespace mobilevlm::train {

DataParallel::DataParallel(int threads, bool bfloat16) : pool_(threads), bfloat16_(bfloat16) {
  at::set_num_threads(1);
}

StepLoss DataParallel::Step(const std::vector<torch::Tensor>& parameters, size_t micro_batches,
                            const std::function<MicroLoss(size_t)>& forward) {
  MVLM_CHECK(micro_batches > 0, "a step needs a micro-batch");
  std::vector<MicroLoss> losses(micro_batches);
  std::vector<torch::autograd::variable_list> gradients(micro_batches);
  std::vector<std::exception_ptr> errors(micro_batches);
  pool_.ParallelFor(micro_batches, [&](size_t i) {
    try {
      const Bfloat16Guard precision(bfloat16_);
      losses[i] = forward(i);
      gradients[i] = torch::autograd::grad({losses[i].loss}, parameters, {}, /*retain_graph=*/false,
                                           /*create_graph=*/false, /*allow_unused=*/true);
      losses[i].loss = losses[i].loss.detach();
    } catch (...) {
      errors[i] = std::current_exception();
    }
  });
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }

  StepLoss total;
  for (const MicroLoss& micro : losses) total.weight += micro.weight;
  MVLM_CHECK(total.weight > 0, "a step without anything to learn");
  total.parts.assign(losses[0].parts.size(), 0.0);
  for (const MicroLoss& micro : losses) {
    const double share = micro.weight / total.weight;
    total.loss += share * micro.loss.item<double>();
    for (size_t p = 0; p < total.parts.size(); ++p) total.parts[p] += share * micro.parts[p];
  }
  pool_.ParallelFor(parameters.size(), [&](size_t p) {
    torch::NoGradGuard guard;
    torch::Tensor sum;
    for (size_t i = 0; i < micro_batches; ++i) {
      const torch::Tensor& gradient = gradients[i][p];
      if (!gradient.defined()) continue;
      const double share = losses[i].weight / total.weight;
      sum = sum.defined() ? sum.add_(gradient, share) : gradient * share;
    }
    // A fresh tensor handle: assigning through the const reference shares the parameter itself.
    torch::Tensor parameter = parameters[p];
    parameter.mutable_grad() = sum;
  });
  return total;
}

void DataParallel::ForEach(size_t n, const std::function<void(size_t)>& body) {
  std::vector<std::exception_ptr> errors(n);
  pool_.ParallelFor(n, [&](size_t i) {
    try {
      const torch::NoGradGuard no_gradients;
      const Bfloat16Guard precision(bfloat16_);
      body(i);
    } catch (...) {
      errors[i] = std::current_exception();
    }
  });
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace mobilevlm::train
