// A matrix of the decoder, y = x W^T: trained, or standing still in a narrower type; alone, or with LoRA's
// two factors beside it (Hu et al. 2021; PEFT's LoraLayer): y = x W^T + alpha / rank * drop(x) A^T B^T.
//
// Parameters: "weight" [out, in] (not for Q8_0), "lora_A.weight" [rank, in], "lora_B.weight" [out, rank], the
// names of the official model and of PEFT.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace mobilevlm::train {

enum class WeightType { kFloat32, kBFloat16, kQ8_0 };
WeightType ParseWeightType(const std::string& name);  // "float32", "bfloat16", "q8_0"; another one aborts

struct LoraOptions {
  int64_t rank = 0;  // 0: none
  double alpha = 0;
  double dropout = 0;
};

struct MatrixOptions {
  WeightType type = WeightType::kFloat32;
  bool initialise = true;  // false: the values will be loaded, so none are drawn
  bool still = false;      // the matrix is not trained; its factors are, if it has any
  LoraOptions lora = {};
};

class ProjectionImpl : public torch::nn::Module {
 public:
  ProjectionImpl(int64_t in, int64_t out, const MatrixOptions& options);

  // Takes values [out, in], whatever the type they are kept in.
  void Fill(const torch::Tensor& values);
  // [out, in]: as kept, or float32 if that is Q8_0. Made anew at each call where it is not float32, so that a
  // recomputed segment holds one layer's copy at a time.
  torch::Tensor Weight() const;
  bool plain() const {
    return !a_.defined() && weight_.defined() && weight_.scalar_type() == torch::kFloat32;
  }
  bool has_lora() const { return a_.defined(); }
  // Of this matrix in its model: names its dropout masks, so every matrix has its own.
  void Number(uint64_t number) { number_ = number; }

  torch::Tensor forward(const torch::Tensor& x);  // [rows, in] -> [rows, out]

 private:
  torch::Tensor LoraDelta(const torch::Tensor& x) const;

  int64_t in_, out_;
  LoraOptions lora_;
  uint64_t number_ = 0;
  torch::Tensor weight_;  // [out, in], undefined if Q8_0
  torch::Tensor quants_;  // Q8_0: [out, in / 32, 32] int8
  torch::Tensor scales_;  // Q8_0: [out, in / 32, 1] half
  torch::Tensor a_, b_;   // [rank, in], [out, rank]
};
TORCH_MODULE(Projection);

// While one lives, dropout on this thread draws its masks from `seed` and the matrix alone: the same when a
// segment is computed again, and whichever thread does it. Without one there is no dropout.
class DropoutGuard {
 public:
  explicit DropoutGuard(std::optional<uint64_t> seed);
  ~DropoutGuard();
  DropoutGuard(const DropoutGuard&) = delete;
  DropoutGuard& operator=(const DropoutGuard&) = delete;

  static std::optional<uint64_t> Current();

 private:
  std::optional<uint64_t> previous_;
};

// Registers `value` as parameter `path` ("a.0.weight") below `root`; makes the modules between.
torch::Tensor AddParameter(torch::nn::Module& root, const std::string& path, torch::Tensor value,
                           bool trained = true);

}  // namespace mobilevlm::train
