#include "train/modules/functional.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"
#include "train/modules/fused.h"

namespace mobilevlm::train {
namespace {

constexpr double kQuickGeluSlope = 1.702;

// x sigmoid(a x) = silu(a x) / a, and its slope is that of silu at a x: libtorch has both in one pass.
class QuickGeluFunction : public torch::autograd::Function<QuickGeluFunction> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x) {
    const torch::Tensor steep = at::mul(x, kQuickGeluSlope);
    context->save_for_backward({steep});
    return at::silu(steep).mul_(1.0 / kQuickGeluSlope);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradient) {
    return {at::silu_backward(gradient[0], context->get_saved_variables()[0])};
  }
};

// y = x W^T with the three products of forward and backward in bfloat16.
class Bfloat16Linear : public torch::autograd::Function<Bfloat16Linear> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weight) {
    const torch::Tensor x16 = x.to(torch::kBFloat16), weight16 = weight.to(torch::kBFloat16);
    context->save_for_backward({x16, weight16});
    return at::mm(x16, weight16.t()).to(torch::kFloat32);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradient) {
    const auto saved = context->get_saved_variables();
    const torch::Tensor g16 = gradient[0].to(torch::kBFloat16);
    return {context->needs_input_grad(0) ? at::mm(g16, saved[1]).to(torch::kFloat32) : torch::Tensor(),
            context->needs_input_grad(1) ? at::mm(g16.t(), saved[0]).to(torch::kFloat32) : torch::Tensor()};
  }
};

thread_local bool bfloat16_products = false;

}  // namespace

Bfloat16Guard::Bfloat16Guard(bool enabled) : previous_(std::exchange(bfloat16_products, enabled)) {}
Bfloat16Guard::~Bfloat16Guard() { bfloat16_products = previous_; }
bool Bfloat16Guard::Current() { return bfloat16_products; }

bool HasBfloat16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

torch::Tensor QuickGelu(const torch::Tensor& x) { return QuickGeluFunction::apply(x); }

torch::Tensor Linear(const torch::Tensor& x, const torch::Tensor& matrix, const torch::Tensor& bias) {
  if (bfloat16_products) {
    torch::Tensor y = Bfloat16Linear::apply(x, matrix);
    return bias.defined() ? y.add_(bias) : y;
  }
  const torch::Tensor weight = matrix.scalar_type() == x.scalar_type() ? matrix : matrix.to(x.scalar_type());
  return bias.defined() ? torch::addmm(bias, x, weight.t()) : torch::mm(x, weight.t());
}

RopeTables MakeRopeTables(int64_t tokens, int64_t head_dim, double base) {
  const torch::Tensor exponent =
      torch::arange(0, head_dim, 2, torch::kFloat64) / static_cast<double>(head_dim);
  const torch::Tensor inverse = torch::pow(base, -exponent);
  const torch::Tensor angle = torch::outer(torch::arange(tokens, torch::kFloat64), inverse);
  const torch::Tensor both = torch::cat({angle, angle}, 1);  // [tokens, head_dim]
  return {both.cos().to(torch::kFloat32), both.sin().to(torch::kFloat32)};
}

namespace {

// found: [rows, tokens], shares of attention.
torch::Tensor LookLoss(const torch::Tensor& found, const Looks& look) {
  constexpr double kLeast = 1e-6;  // keeps the logarithms finite
  if (!look.divided) return found.mul(look.wanted).sum(1).clamp_min(kLeast).log().mean().neg();
  const torch::Tensor ratio = look.wanted.clamp_min(kLeast).log() - found.clamp_min(kLeast).log();
  return look.wanted.mul(ratio).sum(1).mul(kDividedWeight).log1p().mean();
}

}  // namespace

torch::Tensor Attention(const torch::Tensor& qkv, const AttentionShape& shape, const RopeTables* rope,
                        const std::vector<Looks>* looks, torch::Tensor* look_loss) {
  const int64_t head_dim = qkv.size(1) / 3 / shape.heads;
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
  auto [q, k, v] = SplitHeads(qkv, shape.batch, shape.heads, scale, rope ? rope->cos : torch::Tensor(),
                              rope ? rope->sin : torch::Tensor());
  if (shape.past != nullptr) {
    MVLM_CHECK(shape.causal && shape.batch == 1 && !shape.mask.defined() && looks == nullptr,
               "one causal sequence can be continued, nothing else");
    if (shape.past->keys.defined()) {
      k = torch::cat({shape.past->keys, k}, 1);
      v = torch::cat({shape.past->values, v}, 1);
    }
    *shape.past = {k, v};
  }
  torch::Tensor scores;
  if (shape.mask.defined()) {
    scores = torch::bmm(q, k.transpose(1, 2))
                 .view({shape.batch, shape.heads, shape.tokens, shape.tokens})
                 .add_(shape.mask.unsqueeze(1))
                 .view({shape.batch * shape.heads, shape.tokens, shape.tokens});
  } else if (shape.causal) {
    const int64_t seen = k.size(1);
    const torch::Tensor mask = torch::full({shape.tokens, seen}, -std::numeric_limits<float>::infinity())
                                   .triu(1 + seen - shape.tokens);
    scores = torch::baddbmm(mask.unsqueeze(0), q, k.transpose(1, 2));
  } else {
    scores = torch::bmm(q, k.transpose(1, 2));
  }
  const torch::Tensor shares = torch::softmax(scores, -1);
  if (looks != nullptr) {
    std::vector<torch::Tensor> losses;
    for (const Looks& look : *looks) {
      if (look.head >= shape.heads) continue;
      const torch::Tensor found = shares.view({shape.batch, shape.heads, shape.tokens, shape.tokens})
                                      .select(1, look.head)
                                      .reshape({shape.batch * shape.tokens, shape.tokens})
                                      .index_select(0, look.rows);
      losses.push_back(LookLoss(found, look));
    }
    if (!losses.empty()) *look_loss = torch::stack(losses).mean();
  }
  const torch::Tensor mixed = torch::bmm(shares, v);  // [batch * heads, tokens, head_dim]
  return MergeHeads(mixed, shape.batch, shape.heads);
}

}  // namespace mobilevlm::train
