// The fused passes against the operators that they stand for: values and every gradient, in float64's light.
#include "train/modules/fused.h"

#include <gtest/gtest.h>

#include <cmath>

#include "train/modules/functional.h"

namespace mobilevlm::train {
namespace {

double Difference(const torch::Tensor& a, const torch::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  const torch::Tensor difference = (a - b).abs().max();
  return difference.isfinite().item<bool>() ? difference.item<double>() : 1e9;
}

torch::Tensor Learned(torch::IntArrayRef shape) { return torch::randn(shape).set_requires_grad(true); }

// transformers: apply_rotary_pos_emb
torch::Tensor Turned(const torch::Tensor& x, const torch::Tensor& cos, const torch::Tensor& sin) {
  const int64_t half = x.size(-1) / 2;
  return x * cos + torch::cat({x.slice(-1, half).neg(), x.slice(-1, 0, half)}, -1) * sin;
}

// heads of 80 elements are the 3B model's; of 10, no vector's.
TEST(Fused, SplitHeadsTurnsAndScales) {
  torch::manual_seed(3);
  for (const int64_t head_dim : {10, 64, 80}) {
    for (const bool own_tables : {false, true}) {
      constexpr int64_t kBatch = 2, kTokens = 5, kHeads = 3;
      const torch::Tensor qkv = Learned({kBatch * kTokens, 3 * kHeads * head_dim});
      RopeTables rope = MakeRopeTables(2 * kTokens, head_dim, 10000);
      const auto table = [&](const torch::Tensor& whole) {
        if (!own_tables) return whole.slice(0, 0, kTokens).contiguous();
        return torch::stack({whole.slice(0, 0, kTokens), whole.slice(0, 3, 3 + kTokens)})
            .unsqueeze(1)
            .contiguous();
      };
      const torch::Tensor cos = table(rope.cos), sin = table(rope.sin);
      const torch::Tensor split = qkv.view({kBatch, kTokens, 3, kHeads, head_dim}).permute({2, 0, 3, 1, 4});
      const std::array<torch::Tensor, 3> wanted{Turned(split[0], cos, sin) * 0.3, Turned(split[1], cos, sin),
                                                split[2]};
      const auto found = SplitHeads(qkv, kBatch, kHeads, 0.3, cos, sin);
      torch::Tensor one = torch::zeros({}), other = torch::zeros({});
      for (size_t part = 0; part < 3; ++part) {
        const torch::Tensor flat = wanted[part].reshape({kBatch * kHeads, kTokens, head_dim});
        EXPECT_LT(Difference(found[part], flat), 1e-6);
        const torch::Tensor weights = torch::randn_like(flat);
        one = one + (flat * weights).sum();
        other = other + (found[part] * weights).sum();
      }
      const torch::Tensor a = torch::autograd::grad({one}, {qkv})[0],
                          b = torch::autograd::grad({other}, {qkv})[0];
      EXPECT_LT(Difference(a, b), 1e-5);
      // A part that nobody used, and no tables.
      const auto plain = SplitHeads(qkv, kBatch, kHeads, 1.0, {}, {});
      const torch::Tensor values = torch::autograd::grad({plain[2].square().sum()}, {qkv})[0];
      EXPECT_LT(Difference(values, torch::autograd::grad({split[2].square().sum()}, {qkv})[0]), 1e-6);
      EXPECT_LT(Difference(MergeHeads(plain[0], kBatch, kHeads), qkv.slice(1, 0, kHeads * head_dim)), 1e-7);
    }
  }
}

TEST(Fused, RmsNorm) {
  torch::manual_seed(4);
  for (const int64_t hidden : {1, 31, 64, 100}) {
    const torch::Tensor x = Learned({7, hidden}), weight = Learned({hidden}), up = torch::randn({7, hidden});
    constexpr double kEps = 1e-6;
    const torch::Tensor wanted = x * torch::rsqrt(x.square().mean(-1, true) + kEps) * weight;
    const torch::Tensor found = RmsNormRows(x, weight, kEps);
    EXPECT_LT(Difference(found, wanted), 1e-5);
    const auto a = torch::autograd::grad({(wanted * up).sum()}, {x, weight});
    const auto b = torch::autograd::grad({(found * up).sum()}, {x, weight});
    EXPECT_LT(Difference(a[0], b[0]), 2e-4)
        << hidden;  // of one element the gradient is a difference of like numbers
    EXPECT_LT(Difference(a[1], b[1]), 1e-4) << hidden;
  }
}

}  // namespace
}  // namespace mobilevlm::train
