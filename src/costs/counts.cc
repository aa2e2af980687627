#include "costs/counts.h"

#include <algorithm>
#include <map>

#include "base/divide_up.h"

namespace mobilevlm::costs {
namespace {

// Of a product of [rows, inner] and [inner, columns].
double ProductOperations(double rows, double inner, double columns) { return 2 * rows * inner * columns; }

// From type and shape; the data need not be there any more.
uint64_t StoredBytes(const GgufTensor& tensor) {
  return RowBytes(tensor.type, tensor.shape.back()).value() * (tensor.elements() / tensor.shape.back());
}

}  // namespace

EncodeOperations CountTower(const VisionConfig& vision) {
  const double patches = vision.patches();
  const double tokens = patches + 1;  // and the class token
  const double hidden = vision.hidden;
  const double layers = vision.used_layers;
  const double patch_inputs = 3.0 * vision.patch_size * vision.patch_size;

  EncodeOperations count;
  count.matrices = ProductOperations(patches, patch_inputs, hidden) +
                   layers * (4 * ProductOperations(tokens, hidden, hidden) +
                             2 * ProductOperations(tokens, hidden, vision.intermediate));
  count.attention = layers * 2 * ProductOperations(tokens, hidden, tokens);
  return count;
}

double CountProjector(const ProjectorConfig& projector) {
  const double patches = static_cast<double>(projector.grid) * projector.grid;
  const double width = projector.hidden;
  const double out = projector.tokens();
  constexpr double kTaps = 9;
  double count =
      ProductOperations(patches, projector.vision_hidden, width) + ProductOperations(patches, width, width);
  if (projector.type != ProjectorType::kMlp) count += 2 * out * kTaps * width;
  if (projector.type == ProjectorType::kLdp) {
    // Two blocks: depthwise convolution (one before, one with the stride), squeeze-and-excite of one row,
    // 1x1.
    count += 2 * patches * kTaps * width + ProductOperations(patches, width, width) +
             ProductOperations(out, width, width) + 4 * ProductOperations(1, width, projector.squeeze());
  }
  return count;
}

EncodeOperations CountEncode(const VisionConfig& vision, const ProjectorConfig& projector) {
  EncodeOperations count = CountTower(vision);
  count.projector = CountProjector(projector);
  return count;
}

double CountText(const LlmConfig& llm, int depth, int positions) {
  const double n = positions;
  const double q_width = static_cast<double>(llm.heads) * llm.head_dim;
  const double kv_width = static_cast<double>(llm.kv_heads) * llm.head_dim;
  const double layer = 2 * ProductOperations(n, llm.hidden, q_width) +
                       2 * ProductOperations(n, llm.hidden, kv_width) +
                       3 * ProductOperations(n, llm.hidden, llm.intermediate);
  const double pairs = n * depth + n * (n + 1) / 2;  // causal
  const double attention = 2 * ProductOperations(pairs, q_width, 1);
  return llm.layers * (layer + attention) + ProductOperations(1, llm.hidden, llm.vocab);
}

uint64_t DecodeWeightBytes(std::span<const GgufTensor> text) {
  uint64_t bytes = 0;
  for (const GgufTensor& tensor : text) {
    const uint64_t stored = StoredBytes(tensor);
    bytes += tensor.name == "token_embd.weight" ? stored / tensor.shape.front() : stored;
  }
  return bytes;
}

uint64_t KvBytesPerPosition(const LlmConfig& llm, DType kv_type) {
  const DTypeInfo& info = GetDTypeInfo(kv_type);
  const uint64_t head = DivideUp(static_cast<uint64_t>(llm.head_dim), info.block_size) * info.block_bytes;
  return 2 * static_cast<uint64_t>(llm.layers) * static_cast<uint64_t>(llm.kv_heads) * head;
}

uint64_t TensorBytes(std::span<const GgufTensor> tensors) {
  uint64_t bytes = 0;
  for (const GgufTensor& tensor : tensors) bytes += StoredBytes(tensor);
  return bytes;
}

DType MainType(std::span<const GgufTensor> tensors) {
  std::map<DType, uint64_t> bytes;
  for (const GgufTensor& tensor : tensors) bytes[tensor.type] += StoredBytes(tensor);
  const auto most =
      std::max_element(bytes.begin(), bytes.end(), [](auto& a, auto& b) { return a.second < b.second; });
  return most == bytes.end() ? DType::kF32 : most->first;
}

}  // namespace mobilevlm::costs
