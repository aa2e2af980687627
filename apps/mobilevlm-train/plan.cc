// mobilevlm-train plan: time and memory of a training job on a cluster, before there is one.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "checkpoint/hf_directory.h"
#include "commands.h"
#include "costs/job_plan.h"
#include "schema/sizes.h"

namespace mobilevlm::app {
namespace {

struct PlanFlags {
  std::string model = "1.7b", stage = "pretrain", machine = "a100", precision = "bfloat16";
  std::vector<int> nodes{1, 2, 4, 8, 16, 32, 64};
  int processes = 0, zero = -1;
  double samples = 0, batch = 0, tokens = 0, supervised = 0;
  double peak = 0, utilisation = 0, memory = 0, memory_bandwidth = 0;
  double node_bandwidth = 0, network = 0, latency = -1, overlap = -1;
  bool cached_features = false, no_recompute = false, json = false;
};

void AddMachineFlags(CLI::App& command, PlanFlags& flags) {
  command.add_option("--machine", flags.machine, "a100 (8 of them), cpu (2 processes of 32 cores)")
      ->capture_default_str();
  command.add_option("--processes", flags.processes, "per node; 0: the machine's")
      ->check(WholeNumber(0, 1024));
  command.add_option("--peak-tflops", flags.peak, "of a process; 0: the machine's")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--utilisation", flags.utilisation, "of that peak; 0: the machine's")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--memory-gb", flags.memory, "of a process; 0: the machine's")
      ->check(CLI::NonNegativeNumber);
  command
      .add_option("--memory-gbs", flags.memory_bandwidth,
                  "GB/s between a process and its memory; 0: the machine's")
      ->check(CLI::NonNegativeNumber);
  command
      .add_option("--node-gbs", flags.node_bandwidth, "GB/s between processes of a node; 0: the machine's")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--network-gbs", flags.network, "GB/s of a node to the others; 0: the machine's")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--latency-us", flags.latency, "of a message; default: the machine's")
      ->check(CLI::NonNegativeNumber);
  command
      .add_option("--overlap", flags.overlap,
                  "share of compute during which gradients can travel; 0 where processes share their cores; "
                  "default: the machine's")
      ->check(CLI::Range(0.0, 1.0));
}

costs::Machine Adjusted(costs::Machine machine, const PlanFlags& flags) {
  const auto set = [](double& value, double flag, double unit) { value = flag > 0 ? flag * unit : value; };
  if (flags.processes > 0) machine.processes = flags.processes;
  set(machine.peak_flops, flags.peak, 1e12);
  set(machine.utilisation, flags.utilisation, 1);
  set(machine.memory, flags.memory, 1e9);
  set(machine.memory_bandwidth, flags.memory_bandwidth, 1e9);
  set(machine.node_bandwidth, flags.node_bandwidth, 1e9);
  set(machine.network, flags.network, 1e9);
  if (flags.latency >= 0) machine.latency = flags.latency * 1e-6;
  if (flags.overlap >= 0) machine.overlap = flags.overlap;
  return machine;
}

costs::JobStage Adjusted(costs::JobStage stage, const PlanFlags& flags) {
  if (flags.samples > 0) stage.samples = flags.samples;
  if (flags.batch > 0) stage.batch = flags.batch;
  if (flags.tokens > 0) stage.sample.tokens = flags.tokens;
  if (flags.supervised > 0) stage.sample.supervised = flags.supervised;
  if (flags.zero >= 0) stage.zero_stage = flags.zero;
  if (flags.cached_features) stage.sample.cached_features = true;
  if (flags.no_recompute) stage.sample.recomputes = false;
  return stage;
}

nlohmann::json ToJson(const costs::JobPlan& plan) {
  return {{"nodes", plan.nodes},
          {"processes", plan.processes},
          {"memory_bytes", plan.memory.total()},
          {"weight_bytes", plan.memory.weights},
          {"gradient_bytes", plan.memory.gradients},
          {"optimizer_bytes", plan.memory.optimizer},
          {"activation_bytes", plan.memory.activations},
          {"exchange_bytes", plan.memory.exchange},
          {"traffic_bytes", plan.traffic},
          {"fits", plan.fits},
          {"samples_per_process", plan.samples_per_process},
          {"micro_batch", plan.micro_batch},
          {"compute_seconds", plan.compute},
          {"communication_seconds", plan.communication},
          {"exposed_seconds", plan.exposed},
          {"update_seconds", plan.update},
          {"step_seconds", plan.step()},
          {"steps", plan.steps},
          {"hours", plan.hours()}};
}

void PrintTable(const std::vector<costs::JobPlan>& plans, const costs::JobStage& stage) {
  fmt::print("{:>6} {:>10} {:>12} {:>12} {:>10} {:>10} {:>10} {:>9}\n", "nodes", "processes", "GB/process",
             "samples each", "compute s", "traffic s", "step s", "hours");
  for (const costs::JobPlan& plan : plans) {
    fmt::print("{:>6} {:>10} {:>12.1f} {:>12g} {:>10.3f} {:>10.3f} {:>10.3f} {:>9.2f}{}{}\n", plan.nodes,
               plan.processes, plan.memory.total() / 1e9, plan.samples_per_process, plan.compute,
               plan.communication, plan.step(), plan.hours(), plan.fits ? "" : "  does not fit",
               plan.processes > stage.batch ? "  more processes than samples in a step" : "");
  }
}

// A size by name, or a model of any size that lies in a directory.
Result<costs::TrainedModel> FindModel(const std::string& model) {
  if (!std::filesystem::is_directory(model)) {
    MVLM_ASSIGN(const ModelSize size, FindModelSize(model));
    return costs::TrainedModel{size.vision, size.projector(), size.llm};
  }
  MVLM_ASSIGN(const HfDirectory directory, HfDirectory::Open(model));
  const HfConfig& config = directory.config;
  if (!config.multimodal) return Fail("{}: wanted a model with a tower", model);
  return costs::TrainedModel{config.vision, config.projector, config.llm};
}

Status Run(const PlanFlags& flags) {
  MVLM_ASSIGN(const costs::TrainedModel model, FindModel(flags.model));
  MVLM_ASSIGN(const costs::Machine known, costs::Machine::Find(flags.machine));
  MVLM_ASSIGN(const costs::JobStage recipe, costs::JobStage::Find(flags.stage));
  const costs::Machine machine = Adjusted(known, flags);
  const costs::JobStage stage = Adjusted(recipe, flags);
  const costs::Precision precision =
      flags.precision == "float32" ? costs::Precision::Float32() : costs::Precision::Bfloat16();
  std::vector<costs::JobPlan> plans;
  for (const int nodes : flags.nodes)
    plans.push_back(costs::MakePlan(model, stage, machine, nodes, precision));
  if (flags.json) {
    nlohmann::json lines = nlohmann::json::array();
    for (const costs::JobPlan& plan : plans) lines.push_back(ToJson(plan));
    fmt::print("{}\n", lines.dump(2));
  } else {
    PrintTable(plans, stage);
  }
  return {};
}

}  // namespace

void AddPlanCommand(CLI::App& app, Status& status) {
  CLI::App* command = app.add_subcommand(
      "plan",
      "hours and memory of a training job on a cluster, by a cost model\n\n"
      "Examples:\n"
      "  mobilevlm-train plan --model 3b --stage multitask\n"
      "  mobilevlm-train plan --machine cpu --nodes 1,8 --precision float32 --network-gbs 1.1");
  const auto flags = std::make_shared<PlanFlags>();
  command->add_option("--model", flags->model, "1.7b, 3b, 7b, mini, or a Hugging Face directory")
      ->capture_default_str();
  command->add_option("--stage", flags->stage, "pretrain or multitask, as the paper trains")
      ->capture_default_str();
  command->add_option("--nodes", flags->nodes, "machines; several numbers make several lines")
      ->delimiter(',')
      ->check(WholeNumber(1, 100000))
      ->capture_default_str();
  command->add_option("--precision", flags->precision, "of weights and gradients")
      ->check(CLI::IsMember({"bfloat16", "float32"}))
      ->capture_default_str();
  command->add_option("--zero", flags->zero, "ZeRO stage; default: the recipe's")->check(WholeNumber(0, 3));
  command->add_option("--samples", flags->samples, "in the data; 0: the recipe's")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--batch", flags->batch, "samples of a step; 0: the recipe's")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--tokens", flags->tokens, "of a sample, padding included; 0: the recipe's")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--supervised", flags->supervised, "of those tokens; 0: the recipe's")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--cached-features", flags->cached_features, "the tower's are kept, it does not run");
  command->add_flag("--no-recompute", flags->no_recompute, "without gradient checkpointing");
  AddMachineFlags(*command, *flags);
  command->add_flag("--json", flags->json, "machine-readable");
  command->callback([flags, &status] { status = Run(*flags); });
}

}  // namespace mobilevlm::app
