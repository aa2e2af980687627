#include "costs/job_plan.h"

#include <algorithm>
#include <cmath>

namespace mobilevlm::costs {
namespace {

constexpr double kGiga = 1e9;

// The slowest link of a ring through all processes: inside a node, or a node's network, which the one ring
// enters and leaves once; libraries lay one ring per network card, so all cards work.
double RingBandwidth(const Machine& machine, int nodes) {
  return nodes == 1 ? machine.node_bandwidth : std::min(machine.node_bandwidth, machine.network);
}

// A step's communication.
struct Exchange {
  double bytes = 0;                              // that a process sends
  double during_backward = 0, after_update = 0;  // seconds
  double seconds() const { return during_backward + after_update; }
};
Exchange ExchangeOf(const TrainedModel& model, int zero_stage, const Machine& machine, int nodes,
                    const Precision& precision) {
  const int processes = nodes * machine.processes;
  if (processes == 1) return {};
  Exchange exchange{.bytes = StepTraffic(model, processes, zero_stage, precision)};
  const double messages = 2.0 * (processes - 1);
  const double seconds = messages * machine.latency + exchange.bytes / RingBandwidth(machine, nodes);
  // Gradients are scattered while the backward pass goes on, the weights gathered when it is long over.
  const bool gathers = zero_stage == 1 || zero_stage == 2;
  const double gathered =
      gathers ? precision.weight_bytes / (precision.weight_bytes + precision.gradient_bytes) : 0;
  exchange.after_update = gathered * seconds;
  exchange.during_backward = seconds - exchange.after_update;
  return exchange;
}

}  // namespace

Result<Machine> Machine::Find(std::string_view name) {
  if (name == "a100") {
    return Machine{.name = "a100",
                   .processes = 8,
                   .peak_flops = 312e12,  // bf16, NVIDIA's data sheet
                   .utilisation = 0.23,   // from the paper's pretraining hours: docs/scaling.md
                   .memory = 80 * kGiga,
                   .memory_bandwidth = 1.9e12,
                   .node_bandwidth = 230 * kGiga,  // NCCL's all-reduce over NVLink 3
                   .network = 8 * 25 * kGiga * 0.9,
                   .latency = 15e-6,
                   .overlap = 0.5};
  }
  if (name == "cpu") {
    return Machine{.name = "cpu",
                   .processes = 2,
                   .peak_flops = 32 * 178 * kGiga,  // float32 FMA of one core, measured, times 32 cores
                   .utilisation = 0.5,
                   .memory = 256 * kGiga,
                   .memory_bandwidth = 150 * kGiga,
                   .node_bandwidth = 5 * kGiga,
                   .network = 25 / 8.0 * kGiga * 0.9,
                   .latency = 60e-6,
                   .overlap = 0.5};
  }
  return Fail("machine: wanted a100 or cpu, found '{}'", name);
}

Result<JobStage> JobStage::Find(std::string_view name) {
  // Samples: the names of the paper's annotation files. Tokens are an assumption (docs/scaling.md): 144 of
  // the picture, the rest text and the padding to the longest of a batch.
  if (name == "pretrain") {
    return JobStage{.name = "pretrain",
                    .samples = 1.246e6,
                    .batch = 256,
                    .zero_stage = 2,
                    .sample = {.tokens = 448, .supervised = 240}};
  }
  if (name == "multitask") {
    return JobStage{.name = "multitask",
                    .samples = 2.428e6,
                    .batch = 128,
                    .zero_stage = 3,
                    .sample = {.tokens = 512, .supervised = 120}};
  }
  return Fail("stage: wanted pretrain or multitask, found '{}'", name);
}

double RingAllReduceSeconds(double bytes, int processes, double bandwidth, double latency) {
  if (processes == 1) return 0;
  const double messages = 2.0 * (processes - 1);
  return messages * (latency + bytes / processes / bandwidth);
}

JobPlan MakePlan(const TrainedModel& model, const JobStage& stage, const Machine& machine, int nodes,
                 const Precision& precision) {
  JobPlan plan;
  plan.nodes = nodes;
  plan.processes = nodes * machine.processes;
  plan.steps = std::ceil(stage.samples / stage.batch);
  plan.samples_per_process = std::max(1.0, stage.batch / plan.processes);
  const auto memory = [&](double samples) {
    return CountProcessMemory(model, stage.sample, samples, plan.processes, stage.zero_stage, precision);
  };
  // Halved until it fits: gradient accumulation does the rest.
  plan.micro_batch = plan.samples_per_process;
  while (plan.micro_batch > 1 && memory(plan.micro_batch).total() > machine.memory) {
    plan.micro_batch = std::ceil(plan.micro_batch / 2);
  }
  plan.memory = memory(plan.micro_batch);
  plan.fits = plan.memory.total() <= machine.memory;

  const double operations = CountTrainingSample(model, stage.sample).total() * plan.samples_per_process;
  plan.compute = operations / (machine.peak_flops * machine.utilisation);
  const Exchange exchange = ExchangeOf(model, stage.zero_stage, machine, nodes, precision);
  plan.traffic = exchange.bytes;
  plan.communication = exchange.seconds();
  plan.exposed =
      std::max(0.0, exchange.during_backward - machine.overlap * plan.compute) + exchange.after_update;
  // AdamW reads gradient and state, writes weight and state.
  const double touched = CountParameters(model).trained() / (stage.zero_stage >= 1 ? plan.processes : 1);
  plan.update = touched *
                (precision.gradient_bytes + 2 * precision.optimizer_bytes + 2 * precision.weight_bytes) /
                machine.memory_bandwidth;
  return plan;
}

}  // namespace mobilevlm::costs
