// The CLIP vision tower: pixels -> patch features. Mirrors transformers' CLIPVisionModel as MobileVLM's
// CLIPVisionTower uses it (vision_encoder.py): hidden_states[used_layers] without the class token.
//
// Shapes: patches = grid * grid, positions = 1 + patches (the class token is position 0).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "ops/attention.h"
#include "ops/context.h"
#include "ops/linear.h"
#include "ops/patch_embed.h"
#include "schema/config.h"
#include "tensor/mat.h"
#include "weights/binder.h"

namespace mobilevlm {

struct VisionBlockWeights {  // CLIPEncoderLayer
  NormWeights ln1, ln2;      // layer_norm1, layer_norm2
  LinearWeights q, k, v, out;
  LinearWeights fc1, fc2;
};

// Views into the mapped file, and the small arrays widened to float. Movable only; immutable after Bind.
struct VisionWeights {
  std::span<const float> class_embedding;  // [hidden]
  LinearWeights patch_embedding;           // [hidden, 3 * patch * patch], no bias
  Mat<const float> position_embedding;     // [positions, hidden]
  NormWeights pre_ln;                      // pre_layrnorm (HF's spelling)
  std::vector<VisionBlockWeights> blocks;  // [used_layers]
  WeightStore store;

  // An Error names the first tensor that is missing or has another shape or type than the schema says.
  // `file` must outlive the weights. `scales`: of quantised matrices.
  static Result<VisionWeights> Bind(const GgufFile& file, const VisionConfig& config, ThreadPool* pool,
                                    PackScales scales);
};

// Reusable buffers, one caller at a time.
struct VisionScratch {
  PatchScratch patches;
  AttentionScratch attention;
  AlignedBuffer<float> hidden, normed, q, k, v;  // [positions, hidden]
  AlignedBuffer<float> mlp;                      // [positions, intermediate]

  static uint64_t Bytes(const VisionConfig& config);  // what they grow to
};

// pixels: planar, normalised [3, image_size, image_size]. features: [patches, hidden], rows in row-major
// order over the grid.
void EncodeVision(const OpsContext& ctx, const VisionConfig& config, const VisionWeights& weights,
                  std::span<const float> pixels, VisionScratch& scratch, Mat<float> features);

}  // namespace mobilevlm
