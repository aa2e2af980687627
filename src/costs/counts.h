// How much work a model is, from its config and the types of its tensors alone: what speeds are divided by.
//
// An operation is one multiplication or one addition of a matrix product or of attention; norms, activations
// and the softmax are not counted, as usual.
#pragma once

#include <cstdint>
#include <span>

#include "gguf/reader.h"
#include "schema/config.h"
#include "tensor/dtype.h"

namespace mobilevlm::costs {

struct EncodeOperations {
  double matrices = 0;   // products of the tower, patches included
  double attention = 0;  // scores and sums of values
  double projector = 0;
  double total() const { return matrices + attention + projector; }
};
EncodeOperations CountTower(const VisionConfig& vision);
double CountProjector(const ProjectorConfig& projector);
EncodeOperations CountEncode(const VisionConfig& vision, const ProjectorConfig& projector);

// `positions` more behind the `depth` that the cache holds, logits of the last one only: a prompt at depth 0,
// a decoded token with one position.
double CountText(const LlmConfig& llm, int depth, int positions);

// Weights that one decoded token reads: every tensor of the text file once, of the embedding table one row.
uint64_t DecodeWeightBytes(std::span<const GgufTensor> text);

// Keys and values of one position, each head in whole blocks, as the cache holds them (ops/kv_view.h).
uint64_t KvBytesPerPosition(const LlmConfig& llm, DType kv_type);

// Bytes of all tensors, as stored: what one pass over a picture or a prompt reads at least.
uint64_t TensorBytes(std::span<const GgufTensor> tensors);

// The type that most of the bytes are stored as.
DType MainType(std::span<const GgufTensor> tensors);

}  // namespace mobilevlm::costs
