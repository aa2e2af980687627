// Time and memory of a training job on a cluster: a cost model with few terms, each of which can be measured.
//
//   step = compute + exposed communication + update
//   compute        operations of a process's samples / (its peak * utilisation)
//   communication  latency * messages + bytes / bandwidth, of a ring over all processes (costs/training.h)
//   exposed        what of the gradients' exchange the backward pass is too short to hide; with ZeRO 1 and 2
//                  also the gathering of the updated weights, which nothing hides
//   update         bytes of weights, gradients and optimizer state that the process updates, over the
//                  memory's bandwidth
//
// docs/scaling.md compares it with measured runs of 1, 2 and 4 processes and with the paper's hours.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "costs/training.h"

namespace mobilevlm::costs {

struct Machine {
  std::string name;
  int processes = 1;            // per node: GPUs, or processes of a CPU node
  double peak_flops = 0;        // per process, of the matrix products' type
  double utilisation = 1;       // of the peak, by a whole step's compute
  double memory = 0;            // bytes per process
  double memory_bandwidth = 0;  // bytes per second per process
  double node_bandwidth = 0;    // bytes per second per process, between the processes of a node
  double network = 0;           // bytes per second of a whole node, to other nodes
  double latency = 0;           // seconds per message
  // Share of compute during which gradients can travel. 0 where the processes have no core to spare: what
  // moves the bytes then takes its time from the products.
  double overlap = 0.5;

  // "a100": 8 A100-80G with NVLink and 8 x 200 Gb/s; "cpu": 2 processes on 64 cores like those measured, 25
  // Gb/s.
  static Result<Machine> Find(std::string_view name);
};

struct JobStage {
  std::string name;
  double samples = 0;  // in the data
  double batch = 0;    // samples per step, all processes
  int zero_stage = 2;
  TrainingSample sample;

  // "pretrain" and "multitask", the paper's two (V2); an Error lists them.
  static Result<JobStage> Find(std::string_view name);
};

struct JobPlan {
  int nodes = 1;
  int processes = 1;
  double samples_per_process = 0;  // in a step
  double micro_batch = 0;          // samples per forward pass: as many as fit, at most all
  ProcessMemory memory;
  bool fits = false;
  double compute = 0, communication = 0, exposed = 0, update = 0;  // seconds of a step
  double traffic = 0;                                              // bytes that a process sends in a step
  double step() const { return compute + exposed + update; }
  double steps = 0;
  double hours() const { return steps * step() / 3600; }
};

JobPlan MakePlan(const TrainedModel& model, const JobStage& stage, const Machine& machine, int nodes,
                 const Precision& precision);

// Seconds of a ring all-reduce of `bytes` over n processes: 2 (n - 1) messages of bytes / n each.
double RingAllReduceSeconds(double bytes, int processes, double bandwidth, double latency);

}  // namespace mobilevlm::costs
