// The few differentiable pieces that the towers share, written for CPUs: no saved intermediate that the
// backward pass can do without, one fused pass where libtorch would make several.
#pragma once

#include <torch/torch.h>

namespace mobilevlm::train {

// Matrices and embeddings of CLIP and LLaMA begin as normal(0, 0.02).
inline constexpr double kInitStd = 0.02;

// x * sigmoid(1.702 x), OpenAI's CLIP (transformers: QuickGELUActivation).
torch::Tensor QuickGelu(const torch::Tensor& x);

// Keys and values of the tokens before, [heads, tokens, head_dim], turned already; undefined: there are none.
struct KeyValues {
  torch::Tensor keys, values;
};

// softmax(q k^T / sqrt(head_dim)) v per head, written as batched matrix products.
// qkv: [batch * tokens, 3 * heads * head_dim], queries first; result [batch * tokens, heads * head_dim].
// `rope`, if given, turns queries and keys.
struct AttentionShape {
  int64_t batch = 0;
  int64_t tokens = 0;
  int64_t heads = 0;
  bool causal = false;
  torch::Tensor mask = {};  // [batch, tokens, tokens] added to the scores of a causal one instead of its own
  KeyValues* past = nullptr;  // of a causal one of batch 1 without mask: seen too, and the new ones added
};
struct RopeTables {
  torch::Tensor cos;  // [tokens, head_dim], or of each sequence: [batch, 1, tokens, head_dim]
  torch::Tensor sin;  // the same
};
// Where one head of a layer should look: rows of the batch and, for each, the tokens of its sequence.
struct Looks {
  int64_t head = 0;
  bool divided = false;  // exactly as `wanted` says, not only there
  torch::Tensor rows;    // [rows] of batch * tokens, int64
  torch::Tensor wanted;  // [rows, tokens], 1 at the tokens to look at, else 0; divided: shares, 1 in all
};
// A divided look loses log(1 + kDividedWeight * D), D being the Kullback-Leibler divergence from `wanted`. D
// grows with the square of what the shares are off and is small where it matters (0.0004 at half a thing of
// eight); this is Cauchy's loss of it, steep there and flat where a head has yet to find its tokens.
inline constexpr double kDividedWeight = 30;
// With `looks`, `look_loss` becomes the mean over them and their rows of -log of the share of attention that
// falls on the wanted tokens, or of the loss above for divided ones. Looks of heads that are not there count
// nothing; without any other, look_loss stays as it was.
torch::Tensor Attention(const torch::Tensor& qkv, const AttentionShape& shape, const RopeTables* rope,
                        const std::vector<Looks>* looks = nullptr, torch::Tensor* look_loss = nullptr);

// LLaMA's rotary tables, half-split layout (transformers: LlamaRotaryEmbedding).
RopeTables MakeRopeTables(int64_t tokens, int64_t head_dim, double base);

// While one lives, Linear() on this thread multiplies in bfloat16 (float accumulation, float results,
// float weights): twice as fast on CPUs with AVX512_BF16, as the paper trains.
class Bfloat16Guard {
 public:
  explicit Bfloat16Guard(bool enabled);
  ~Bfloat16Guard();
  Bfloat16Guard(const Bfloat16Guard&) = delete;
  Bfloat16Guard& operator=(const Bfloat16Guard&) = delete;

  static bool Current();  // of this thread

 private:
  bool previous_;
};
// Does this CPU multiply bfloat16 natively?
bool HasBfloat16();

// y = x W^T (+ b) for x [rows, in], W [out, in]. A narrower W is widened for the product, and its gradient
// narrowed.
torch::Tensor Linear(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias = {});

}  // namespace mobilevlm::train
