#include "train/modules/recompute.h"

#include <optional>

#include "train/modules/functional.h"
#include "train/modules/projection.h"

namespace mobilevlm::train {
namespace {

using torch::autograd::variable_list;

struct Segment : torch::CustomClassHolder {
  std::function<torch::Tensor(const torch::Tensor&)> body;
  variable_list parameters;
  bool x_learns = false;
  bool bfloat16 = false;
  std::optional<uint64_t> dropout;
};
using SegmentPointer = c10::intrusive_ptr<Segment>;

class RecomputeFunction : public torch::autograd::Function<RecomputeFunction> {
 public:
  // autograd sees x and the parameters as inputs; the parameters' values reach body by themselves.
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const SegmentPointer& segment,
                               const torch::Tensor& x, at::TensorList) {
    context->save_for_backward({x});
    context->saved_data["segment"] = c10::IValue::make_capsule(segment);
    return segment->body(x);
  }

  static variable_list backward(torch::autograd::AutogradContext* context, variable_list gradient) {
    const auto holder = context->saved_data["segment"].toCapsule();
    const Segment& segment = static_cast<const Segment&>(*holder);
    const torch::Tensor x = context->get_saved_variables()[0].detach().requires_grad_(segment.x_learns);
    variable_list inputs = segment.parameters;
    if (segment.x_learns) inputs.push_back(x);
    variable_list gradients;
    {
      const at::AutoGradMode with_gradients(true);
      const Bfloat16Guard precision(segment.bfloat16);
      const DropoutGuard dropout(segment.dropout);
      const torch::Tensor y = segment.body(x);
      gradients = torch::autograd::grad({y}, inputs, {gradient[0]}, /*retain_graph=*/false,
                                        /*create_graph=*/false, /*allow_unused=*/true);
    }
    torch::Tensor to_x;
    if (segment.x_learns) {
      to_x = gradients.back();
      gradients.pop_back();
    }
    gradients.insert(gradients.begin(), {torch::Tensor(), to_x});
    return gradients;
  }
};

}  // namespace

torch::Tensor Recomputed(const torch::Tensor& x, const variable_list& parameters,
                         std::function<torch::Tensor(const torch::Tensor&)> body) {
  if (!at::GradMode::is_enabled()) return body(x);
  SegmentPointer segment = c10::make_intrusive<Segment>();
  segment->body = std::move(body);
  segment->parameters = parameters;
  segment->x_learns = x.requires_grad();
  segment->bfloat16 = Bfloat16Guard::Current();
  segment->dropout = DropoutGuard::Current();
  return RecomputeFunction::apply(segment, x, at::TensorList(parameters));
}

}  // namespace mobilevlm::train
