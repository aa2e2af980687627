#include "synth/plan.h"

#include <cmath>

namespace mobilevlm {
namespace {

uint64_t Product(const std::vector<uint64_t>& extents) {
  uint64_t product = 1;
  for (const uint64_t extent : extents) product *= extent;
  return product;
}

// Whether the tensor's product is added to the residual stream, which `layers` blocks share.
bool EndsBlock(const TensorSpec& spec) {
  const std::string_view name = spec.hf_name;
  return name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight") ||
         name.ends_with("out_proj.weight") || name.ends_with("mlp.fc2.weight");
}

// The scale that keeps activations at about one: 1 / sqrt(inputs) for a product, less where every layer adds
// to the same stream (as GPT-2 starts its training), gains around one, small biases.
Distribution ChooseDistribution(const TensorSpec& spec, int layers) {
  constexpr float kSpread = 0.05f;
  if (spec.storage == TensorStorage::kFloat) {
    const bool gain = spec.hf_name.ends_with(".weight");
    return {.mean = gain ? 1.0f : 0.0f, .deviation = kSpread};
  }
  if (spec.hf_name.ends_with("embed_tokens.weight") || spec.hf_name.ends_with("position_embedding.weight")) {
    return {.mean = 0, .deviation = 1};
  }
  const auto inputs = static_cast<float>(Product(spec.shape) / spec.shape.front());
  const float shared = EndsBlock(spec) ? 2.0f * static_cast<float>(layers) : 1.0f;
  return {.mean = 0, .deviation = 1 / std::sqrt(inputs * shared)};
}

}  // namespace

uint64_t PlannedTensor::elements() const { return Product(spec.shape); }
uint64_t PlannedTensor::bytes() const { return RowBytes(type, elements()).value(); }

Result<std::vector<PlannedTensor>> PlanTensors(const std::vector<TensorSpec>& specs, DType matrices,
                                               int layers) {
  const DType half = matrices == DType::kF32 ? DType::kF32 : DType::kF16;
  std::vector<PlannedTensor> plan;
  for (const TensorSpec& spec : specs) {
    const DType type = spec.storage == TensorStorage::kFloat  ? DType::kF32
                       : spec.storage == TensorStorage::kHalf ? half
                                                              : matrices;
    if (!RowBytes(type, spec.shape.back())) {
      return Fail("tensor {}: rows of {} values are no whole blocks of {} values ({})", spec.gguf_name,
                  spec.shape.back(), GetDTypeInfo(type).block_size, DTypeName(type));
    }
    plan.push_back({spec, type, ChooseDistribution(spec, layers)});
  }
  return plan;
}

uint64_t BytesOf(const std::vector<PlannedTensor>& plan) {
  uint64_t total = 0;
  for (const PlannedTensor& tensor : plan) total += tensor.bytes();
  return total;
}

Status PlannedWeights::Stream(const PlannedTensor& tensor, const GgufWriter::ByteSink& sink) {
  return weights_.Stream(tensor.type, tensor.distribution, tensor.elements(),
                         [&](std::span<const std::byte> bytes) -> Status {
                           MVLM_TRY(sink(bytes));
                           written_.done += bytes.size();
                           if (!written_.progress) return {};
                           return written_.progress(written_.done, written_.total);
                         });
}

}  // namespace mobilevlm
