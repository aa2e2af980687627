// What a training step costs one process: operations, bytes it holds, bytes it sends. From configs alone.
//
// The recipe is the paper's: bfloat16 weights and gradients, float32 master weights and AdamW moments, the
// tower frozen, every decoder block recomputed in the backward pass (gradient checkpointing).
#pragma once

#include "schema/config.h"

namespace mobilevlm::costs {

struct TrainedModel {
  VisionConfig vision;
  ProjectorConfig projector;
  LlmConfig llm;
};

// Parameters, from the tensor table of schema/.
struct ParameterCounts {
  double llm = 0, projector = 0, vision = 0;  // vision: the blocks that are used
  double trained() const { return llm + projector; }
};
ParameterCounts CountParameters(const TrainedModel& model);

// Operations of matrix products and attention, as counts.h counts them; a backward pass costs two forwards,
// of a first layer one.
struct TrainingOperations {
  double forward = 0;    // decoder and projector
  double backward = 0;   // the same
  double recompute = 0;  // forward passes made twice
  double tower = 0;      // frozen: forward only; nothing if its features are cached
  double total() const { return forward + backward + recompute + tower; }
};
struct TrainingSample {
  double tokens = 0;      // positions of the decoder, the picture's and padding included
  double supervised = 0;  // of them: predicted, with logits
  double pictures = 1;
  bool cached_features = false;
  bool recomputes = true;
};
TrainingOperations CountTrainingSample(const TrainedModel& model, const TrainingSample& sample);

// Forward operations of a decoder over `rows` positions that attend to `pairs` (query, key) pairs, with
// logits of `predictions` rows; of a projector over `pictures`; of its first product alone, which nothing
// below learns from.
double DecoderForward(const LlmConfig& llm, double rows, double pairs, double predictions);
double ProjectorForward(const ProjectorConfig& projector, double pictures);
double ProjectorFirstProduct(const ProjectorConfig& projector, double pictures);
double TowerForward(const VisionConfig& vision, double pictures);

// What processes send each other at a time (PyTorch's DistributedDataParallel has the same).
inline constexpr double kExchangeBucketBytes = 25 << 20;

// ZeRO stages (Rajbhandari et al., 2020): what is divided among the processes.
//   0 nothing   1 optimizer state   2 and gradients   3 and weights
struct Precision {
  double weight_bytes = 2, gradient_bytes = 2;
  double optimizer_bytes = 12;  // float32 master, two moments
  static Precision Bfloat16() { return {}; }
  static Precision Float32() { return {4, 4, 8}; }  // the weights are their own master
};
struct ProcessMemory {
  double weights = 0, gradients = 0, optimizer = 0, activations = 0, tower = 0;
  double exchange = 0;  // of sharded processes: two buckets that are under way
  double total() const { return weights + gradients + optimizer + activations + tower + exchange; }
};
// `samples` per process in one forward pass, `processes` in the job.
ProcessMemory CountProcessMemory(const TrainedModel& model, const TrainingSample& sample, double samples,
                                 int processes, int zero_stage, const Precision& precision);

// Bytes that every process sends in a step, of 2 (n - 1) / n times the gradients in a ring; stage 3 also
// gathers the weights twice.
double StepTraffic(const TrainedModel& model, int processes, int zero_stage, const Precision& precision);

}  // namespace mobilevlm::costs
