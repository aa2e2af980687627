#include "costs/training.h"

#include <span>

#include "base/check.h"
#include "costs/counts.h"
#include "schema/tensors.h"

namespace mobilevlm::costs {
namespace {

double Elements(std::span<const TensorSpec> tensors) {
  double sum = 0;
  for (const TensorSpec& tensor : tensors) {
    double product = 1;
    for (const uint64_t extent : tensor.shape) product *= static_cast<double>(extent);
    sum += product;
  }
  return sum;
}

}  // namespace

ParameterCounts CountParameters(const TrainedModel& model) {
  return {Elements(LlmTensors(model.llm)), Elements(ProjectorTensors(model.projector)),
          Elements(VisionTensors(model.vision))};
}

double DecoderForward(const LlmConfig& llm, double rows, double pairs, double predictions) {
  const double q_width = static_cast<double>(llm.heads) * llm.head_dim;
  const double kv_width = static_cast<double>(llm.kv_heads) * llm.head_dim;
  const double row = 2.0 * llm.hidden * (2 * q_width + 2 * kv_width + 3.0 * llm.intermediate);
  return llm.layers * (rows * row + 4 * pairs * q_width) + 2 * predictions * llm.hidden * llm.vocab;
}

double ProjectorForward(const ProjectorConfig& projector, double pictures) {
  return pictures * CountProjector(projector);
}

double ProjectorFirstProduct(const ProjectorConfig& projector, double pictures) {
  return pictures * 2.0 * projector.grid * projector.grid * projector.vision_hidden * projector.hidden;
}

double TowerForward(const VisionConfig& vision, double pictures) {
  const EncodeOperations one = CountTower(vision);
  return pictures * (one.matrices + one.attention);
}

TrainingOperations CountTrainingSample(const TrainedModel& model, const TrainingSample& sample) {
  const double pairs = sample.tokens * (sample.tokens + 1) / 2;  // causal
  const double decoder = DecoderForward(model.llm, sample.tokens, pairs, sample.supervised);
  const double projector = ProjectorForward(model.projector, sample.pictures);
  TrainingOperations count;
  count.forward = decoder + projector;
  count.backward = 2 * decoder + 2 * projector - ProjectorFirstProduct(model.projector, sample.pictures);
  if (sample.recomputes) count.recompute = DecoderForward(model.llm, sample.tokens, pairs, 0);
  if (!sample.cached_features) count.tower = TowerForward(model.vision, sample.pictures);
  return count;
}

ProcessMemory CountProcessMemory(const TrainedModel& model, const TrainingSample& sample, double samples,
                                 int processes, int zero_stage, const Precision& precision) {
  MVLM_CHECK(zero_stage >= 0 && zero_stage <= 3, "ZeRO stage {}", zero_stage);
  const ParameterCounts parameters = CountParameters(model);
  const auto share = [&](int from_stage) { return zero_stage >= from_stage ? 1.0 / processes : 1.0; };
  ProcessMemory memory;
  memory.weights = parameters.trained() * precision.weight_bytes * share(3);
  memory.gradients = parameters.trained() * precision.gradient_bytes * share(2);
  memory.optimizer = parameters.trained() * precision.optimizer_bytes * share(1);
  if (zero_stage >= 1 && processes > 1) memory.exchange = 2 * kExchangeBucketBytes;
  memory.tower = sample.cached_features ? 0 : parameters.vision * precision.weight_bytes;

  const LlmConfig& llm = model.llm;
  const double rows = samples * sample.tokens, bytes = precision.weight_bytes;
  // Every block keeps its input; the one that is at work keeps what its backward pass needs: two norms, q, k,
  // v, the attention's output, both residual sums, gate, up, their product and activation.
  const double block_inputs = rows * llm.hidden * llm.layers;
  const double block = rows * (8.0 * llm.hidden + 4.0 * llm.intermediate);
  const double kept = sample.recomputes ? block_inputs + block : block_inputs + block * llm.layers;
  // Logits, their float32 softmax and gradient.
  const double logits = samples * sample.supervised * llm.vocab * (bytes + 8);
  memory.activations = kept * bytes + logits;
  return memory;
}

double StepTraffic(const TrainedModel& model, int processes, int zero_stage, const Precision& precision) {
  if (processes == 1) return 0;
  const double ring = static_cast<double>(processes - 1) / processes;
  const ParameterCounts parameters = CountParameters(model);
  const double gradients = parameters.trained() * precision.gradient_bytes;
  const double weights = parameters.trained() * precision.weight_bytes;
  if (zero_stage == 0) return 2 * ring * gradients;
  // Reduce-scatter of gradients; all-gather of weights: once after the step, or in the forward and in the
  // backward pass.
  return ring * (gradients + (zero_stage == 3 ? 2 : 1) * weights);
}

}  // namespace mobilevlm::costs
