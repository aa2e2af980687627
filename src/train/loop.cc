#include "train/loop.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/units.h"
#include "train/checkpoint.h"

namespace mobilevlm::train {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string CheckpointPath(const std::string& directory) { return directory + "/checkpoint.pt"; }

Status Save(const LoopStage& stage, const LoopOptions& options, int64_t step) {
  const NamedTensors optimizer = stage.optimizer->State();  // gathered from all processes
  if (!stage.processes->first()) return {};
  Checkpoint checkpoint;
  checkpoint.tensors = ModuleTensors(*stage.module, "model:");
  for (auto& [name, tensor] : optimizer) checkpoint.tensors["optimizer:" + name] = tensor;
  checkpoint.meta = {{"stage", stage.name},
                     {"step", std::to_string(step)},
                     {"finished", step >= options.steps ? "yes" : "no"}};
  return WriteCheckpoint(CheckpointPath(options.directory), checkpoint);
}

// The step to continue with: 0 without a checkpoint.
Result<int64_t> Resume(const LoopStage& stage, const LoopOptions& options) {
  const std::string path = CheckpointPath(options.directory);
  if (!std::filesystem::exists(path)) return int64_t{0};
  MVLM_ASSIGN(const Checkpoint checkpoint, ReadCheckpoint(path));
  const auto step = checkpoint.meta.find("step");
  if (step == checkpoint.meta.end()) return Fail("{}: no 'step' in the checkpoint", path);
  if (auto status = LoadModule(*stage.module, checkpoint.tensors, "model:"); !status) {
    return Context(status.error(), "{}", path);
  }
  if (auto status = stage.optimizer->Load(WithoutPrefix(checkpoint.tensors, "optimizer:")); !status) {
    return Context(status.error(), "{}", path);
  }
  const std::string& text = step->second;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) {
    return Fail("{}: step: wanted a number, found '{}'", path, text);
  }
  return value;
}

// All processes must continue from the same step.
Status CheckAgreement(ProcessGroup& processes, const LoopOptions& options, int64_t step) {
  const int64_t first = processes.Agree(step);
  if (first == step) return {};
  return Fail(
      "{}: process 0 continues from step {}, process {} from {}; the directory must be on storage that all "
      "see",
      options.directory, first, processes.rank(), step);
}

// Whether to stop, and whether to save, decided by all together: some process was told to stop; rank 0's
// clock.
struct Decision {
  bool stop, save;
};
Decision Decide(ProcessGroup& processes, bool stop, bool save) {
  std::vector<double> votes{stop ? 1.0 : 0.0, processes.first() && save ? 1.0 : 0.0};
  processes.Sum(votes);
  return {votes[0] > 0, votes[1] > 0};
}

// Means of the loss and its parts since the last log line.
class Averages {
 public:
  void Add(const StepLoss& loss, double norm) {
    ++count_;
    loss_ += loss.loss;
    norm_ += norm;
    flops_ += loss.flops;
    parts_.resize(loss.parts.size());
    for (size_t i = 0; i < parts_.size(); ++i) parts_[i] += loss.parts[i];
  }
  double flops() const { return flops_; }
  nlohmann::json Take(const std::vector<std::string>& names) {
    nlohmann::json line = {{"loss", loss_ / count_}, {"gradient_norm", norm_ / count_}};
    for (size_t i = 0; i < names.size() && i < parts_.size(); ++i) line[names[i]] = parts_[i] / count_;
    *this = {};
    return line;
  }

 private:
  double count_ = 0, loss_ = 0, norm_ = 0, flops_ = 0;
  std::vector<double> parts_;
};

// Share of the peak; left out where nothing counts operations or the peak is unknown.
void AddSpeed(nlohmann::json& line, double gflops, double peak_gflops) {
  if (!(gflops > 0)) return;
  line["gflops_per_second"] = gflops;
  if (peak_gflops > 0) line["flop_utilisation"] = gflops / peak_gflops;
}

std::string SpeedText(const nlohmann::json& line) {
  if (!line.contains("flop_utilisation")) return "";
  return fmt::format(", {:.0f} GFLOP/s ({:.0f} % of the float32 peak)",
                     line["gflops_per_second"].get<double>(), 100 * line["flop_utilisation"].get<double>());
}

}  // namespace

LoopOptions MakeLoopOptions(const StageOptions& stage, const std::string& name) {
  LoopOptions loop;
  loop.directory = stage.directory + "/" + name;
  loop.steps = stage.steps;
  loop.warmup = std::min(stage.warmup, stage.steps);
  loop.floor = stage.floor;
  loop.validate_every = stage.validate_every;
  loop.log_every = stage.log_every;
  loop.checkpoint_minutes = stage.checkpoint_minutes;
  loop.peak_gflops = stage.parallel.peak_gflops;
  return loop;
}

Result<LoopEnd> RunLoop(const LoopStage& stage, const LoopOptions& options, StopSignal& stop) {
  std::error_code error;
  std::filesystem::create_directories(options.directory, error);
  if (error) return Fail("{}: cannot create the directory: {}", options.directory, error.message());
  MVLM_ASSIGN(const int64_t first, Resume(stage, options));
  MVLM_TRY(CheckAgreement(*stage.processes, options, first));
  if (first >= options.steps) return LoopEnd::kFinished;
  stage.optimizer->gradients().BroadcastParameters();
  if (stage.start) stage.start(first);

  std::vector<double> peak{options.peak_gflops};
  stage.processes->Sum(peak);
  const double peak_gflops = peak[0];
  std::ofstream log;
  if (stage.processes->first()) log.open(options.directory + "/log.jsonl", std::ios::app);
  const Clock::time_point start = Clock::now();
  Clock::time_point last_save = start, last_log = start;
  double validation_seconds = 0;  // not part of the training speed
  Averages averages;
  int64_t logged = first;
  for (int64_t step = first; step < options.steps; ++step) {
    const double factor = CosineFactor(step, options.warmup, options.steps, options.floor);
    const StepLoss loss = stage.step(step);
    averages.Add(loss, stage.optimizer->Step(factor, options.clip));

    const int64_t done = step + 1;
    const auto [stopping, saving] =
        Decide(*stage.processes, stop.Requested(), SecondsSince(last_save) > options.checkpoint_minutes * 60);
    const bool last = done == options.steps;
    const bool validating = stage.validate && !stopping && (last || done % options.validate_every == 0);
    if (validating || last || stopping || done % options.log_every == 0) {
      const double flops = averages.flops();
      nlohmann::json line = averages.Take(stage.part_names);
      const double seconds = SecondsSince(last_log) - validation_seconds;
      AddSpeed(line, flops / seconds / 1e9, peak_gflops);
      if (!stage.processes->alone()) {
        line["exchange_share"] = stage.optimizer->gradients().TakeWaitedSeconds() / seconds;
      }
      line["step"] = done;
      line["lr_factor"] = factor;
      line["samples_per_second"] = stage.samples_per_step * static_cast<double>(done - logged) / seconds;
      line["seconds"] = SecondsSince(start);
      last_log = Clock::now();
      logged = done;
      if (validating) line["validation"] = stage.validate();
      validation_seconds = validating ? SecondsSince(last_log) : 0;
      if (stage.processes->first()) {
        log << line.dump() << std::endl;
        const double rest = SecondsSince(start) / static_cast<double>(done - first) *
                            static_cast<double>(options.steps - done);
        fmt::print(stderr, "{} step {}/{} loss {:.4f} {:.1f} samples/s{}, {} left{}{}\n", stage.name, done,
                   options.steps, line["loss"].get<double>(), line["samples_per_second"].get<double>(),
                   SpeedText(line), FormatDuration(rest), validating ? " " : "",
                   validating ? line["validation"].dump() : "");
      }
    }
    if (last || stopping || saving) {
      MVLM_TRY(Save(stage, options, done));
      if (last || stopping) stage.processes->Barrier();  // what comes next reads the checkpoint
      last_save = Clock::now();
    }
    if (stopping && !last) {
      if (stage.processes->first()) {
        fmt::print(stderr, "{}: stopped after step {}; the same command continues\n", stage.name, done);
      }
      return LoopEnd::kStopped;
    }
  }
  return LoopEnd::kFinished;
}

bool StageFinished(const std::string& directory) {
  const std::string path = CheckpointPath(directory);
  if (!std::filesystem::exists(path)) return false;
  const auto checkpoint = ReadCheckpoint(path);
  if (!checkpoint) return false;
  const auto finished = checkpoint->meta.find("finished");
  return finished != checkpoint->meta.end() && finished->second == "yes";
}

}  // namespace mobilevlm::train
