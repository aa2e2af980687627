#include "train/loop.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <optional>

#include "base/atomic_file.h"
#include "base/directories.h"
#include "base/read_file.h"
#include "train/checkpoint.h"
#include "train/recipe/read_recipe.h"
#include "train/runlog/checkpoint_directory.h"
#include "train/runlog/run_log.h"

namespace mobilevlm::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kOptimizerFile = "/optimizer.safetensors";
constexpr const char* kRecipeFile = "/recipe.toml";
constexpr uint64_t kMaxRecipeBytes = 1 << 20;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Largest resident set of this process so far, in bytes.
double PeakMemory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024.0;
}

Status Save(const LoopStage& stage, const LoopOptions& options, int64_t step) {
  const NamedTensors optimizer = stage.optimizer->State();  // gathered from all processes
  if (!stage.parallel->processes().first()) return {};
  const Recipe& recipe = options.recipe;
  return SaveCheckpoint(options.directory(), step, recipe.run.keep, [&](const std::string& path) -> Status {
    const SavedWeights& saved = stage.saved;
    const NamedTensors weights = saved.trained_only ? TrainedTensors(*stage.module, saved.prefix)
                                                    : ModuleTensors(*stage.module, saved.prefix);
    MVLM_TRY(WriteTensors(path + "/" + saved.file, weights));
    if (saved.describe) MVLM_TRY(saved.describe(path));
    MVLM_TRY(WriteTensors(path + kOptimizerFile, optimizer));
    MVLM_TRY(WriteFileAtomically(path + kRecipeFile, RecipeToml(recipe)));
    return WriteState(path, {{"step", step},
                             {"finished", step >= recipe.schedule.steps},
                             {"stage", recipe.stage},
                             {"samples_seen", step * recipe.schedule.batch},
                             {"seed", recipe.run.seed},
                             {"data", stage.data_fingerprint},
                             {"processes", stage.parallel->processes().size()}});
  });
}

// What is different from the run that wrote the checkpoint is worth a line each; other data is an Error.
Status CompareRecipes(const LoopStage& stage, const LoopOptions& options, const std::string& checkpoint,
                      const nlohmann::json& state) {
  const std::string path = checkpoint + kRecipeFile;
  MVLM_ASSIGN(const std::string text, ReadFile(path, kMaxRecipeBytes));
  MVLM_ASSIGN(const Recipe before, ParseRecipe(text, path));
  if (stage.parallel->processes().first()) {
    for (const std::string& line : Differences(before, options.recipe)) {
      fmt::print(stderr, "{}: {}\n", options.recipe.stage, line);
    }
  }
  if (state.value("data", "") == stage.data_fingerprint) return {};
  return Fail("{}: was trained on other data than the recipe names now; begin anew in another directory",
              checkpoint);
}

// The step to continue with: 0 without a checkpoint.
Result<int64_t> Resume(const LoopStage& stage, const LoopOptions& options) {
  const auto latest = LatestCheckpoint(options.directory());
  if (!latest) return int64_t{0};
  const std::string& path = latest->path;
  MVLM_ASSIGN(const nlohmann::json state, ReadState(path));
  const auto step = state["step"].get<int64_t>();
  MVLM_TRY(CompareRecipes(stage, options, path, state));
  MVLM_ASSIGN(const TensorFile weights, ReadTensors(path + "/" + stage.saved.file));
  const Status loaded =
      LoadModule(*stage.module, weights.tensors, stage.saved.prefix, stage.saved.trained_only);
  if (!loaded) return Context(loaded.error(), "{}", path);
  MVLM_ASSIGN(const TensorFile optimizer, ReadTensors(path + kOptimizerFile));
  if (auto status = stage.optimizer->Load(optimizer.tensors, step); !status) {
    return Context(status.error(), "{}", path);
  }
  return step;
}

// All processes must continue from the same step.
Status CheckAgreement(ProcessGroup& processes, const LoopOptions& options, int64_t step) {
  const int64_t first = processes.Agree(step);
  if (first == step) return {};
  return Fail(
      "{}: process 0 continues from step {}, process {} from {}; the directory must be on storage that all "
      "see",
      options.directory(), first, processes.rank(), step);
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

// Share of the peak; left out where nothing counts operations or the peak is unknown. With bfloat16 products
// it can exceed one.
void AddSpeed(nlohmann::json& line, double gflops, double peak_gflops) {
  if (!(gflops > 0)) return;
  line["gflops_per_second"] = gflops;
  if (peak_gflops > 0) line["flop_utilisation"] = gflops / peak_gflops;
}

// What happened since the last log line.
class Interval {
 public:
  explicit Interval(int64_t first) : steps_done_(first) {}

  void Add(const StepLoss& loss, double norm) {
    ++count_;
    loss_ += loss.loss;
    norm_ += norm;
    flops_ += loss.flops;
    parts_.resize(loss.parts.size());
    for (size_t i = 0; i < parts_.size(); ++i) parts_[i] += loss.parts[i];
  }

  // The line of all processes together; every process calls it.
  nlohmann::json Take(const LoopStage& stage, const LoopOptions& options, int64_t done, double factor,
                      double& peak_gflops) {
    const Recipe& recipe = options.recipe;
    const double seconds = std::max(SecondsSince(since_), 1e-9);
    nlohmann::json line = {{"loss", loss_ / count_}, {"gradient_norm", norm_ / count_}, {"step", done}};
    for (size_t i = 0; i < stage.part_names.size() && i < parts_.size(); ++i) {
      line[stage.part_names[i]] = parts_[i] / count_;
    }
    line["lr"] = factor * recipe.optimizer.learning_rate;
    if (recipe.optimizer.projector_learning_rate > 0) {
      line["lr_projector"] = factor * recipe.optimizer.projector_learning_rate;
    }
    line["samples_per_second"] = static_cast<double>(recipe.schedule.batch * (done - steps_done_)) / seconds;
    ProcessGroup& processes = stage.parallel->processes();
    std::vector<double> sums{stage.take_tokens ? static_cast<double>(stage.take_tokens()) : 0.0,
                             stage.take_waited ? stage.take_waited() : 0.0};
    processes.Sum(sums);
    if (stage.take_tokens) line["tokens_per_second"] = sums[0] / seconds;
    if (stage.take_waited) line["waiting"] = sums[1] / seconds / processes.size();
    if (!processes.alone())
      line["exchange_share"] = stage.optimizer->gradients().TakeWaitedSeconds() / seconds;
    AddSpeed(line, flops_ / seconds / 1e9, peak_gflops);
    line["memory_gib"] = PeakMemory() / (1 << 30);
    *this = Interval(done);
    return line;
  }

  // What was done since `begin` is not part of the speed.
  void LeaveOut(Clock::time_point begin) { since_ += Clock::now() - begin; }

 private:
  int64_t steps_done_;
  Clock::time_point since_ = Clock::now();
  double count_ = 0, loss_ = 0, norm_ = 0, flops_ = 0;
  std::vector<double> parts_;
};

// The loop's own state, one object a run.
class Loop {
 public:
  Loop(const LoopStage& stage, const LoopOptions& options, StopSignal& stop)
      : stage_(stage), options_(options), recipe_(options.recipe), stop_(stop) {}

  Result<LoopEnd> Run() {
    ProcessGroup& processes = stage_.parallel->processes();
    MVLM_TRY(MakeDirectories(options_.directory()));
    std::optional<DirectoryLock> lock;
    if (processes.first()) {
      MVLM_ASSIGN(DirectoryLock taken, DirectoryLock::Take(options_.directory()));
      lock.emplace(std::move(taken));
    }
    MVLM_ASSIGN(first_, Resume(stage_, options_));
    MVLM_TRY(CheckAgreement(processes, options_, first_));
    if (first_ >= recipe_.schedule.steps) return LoopEnd::kFinished;
    stage_.optimizer->gradients().BroadcastParameters();
    if (processes.first()) {
      MVLM_ASSIGN(log_, RunLog::Open(options_.directory(), first_));
      MVLM_TRY(WriteFileAtomically(options_.directory() + kRecipeFile, RecipeToml(recipe_)));
    }
    TellIdleProcesses();
    if (stage_.start) stage_.start(first_);
    std::vector<double> peak{options_.peak_gflops};
    processes.Sum(peak);
    peak_gflops_ = peak[0];
    start_ = last_save_ = Clock::now();
    Interval interval(first_);
    for (int64_t step = first_; step < recipe_.schedule.steps; ++step) {
      const double factor = recipe_.Factor(step);
      const StepLoss loss = stage_.step(step);
      const double norm = stage_.optimizer->Step(factor, recipe_.optimizer.clip);
      if (!std::isfinite(norm) || !std::isfinite(loss.loss)) {
        return Fail(
            "{} step {}: wanted finite numbers, found loss {} and gradient norm {}; the newest checkpoint "
            "stays; a smaller learning rate may help",
            recipe_.stage, step + 1, loss.loss, norm);
      }
      interval.Add(loss, norm);
      MVLM_ASSIGN(const bool stopping, AfterStep(step + 1, factor, interval));
      if (stopping) return LoopEnd::kStopped;
    }
    return LoopEnd::kFinished;
  }

 private:
  void TellIdleProcesses() const {
    const ProcessGroup& processes = stage_.parallel->processes();
    const int64_t micro = recipe_.schedule.micro_batch, parts = (recipe_.schedule.batch + micro - 1) / micro;
    if (!processes.first() || parts >= processes.size()) return;
    fmt::print(stderr, "{}: a step has {} micro-batches, so {} of {} processes have nothing to do\n",
               recipe_.stage, parts, processes.size() - parts, processes.size());
  }

  // Log, checkpoint, validation. True: someone wants to stop before the last step.
  Result<bool> AfterStep(int64_t done, double factor, Interval& interval) {
    const bool late =
        recipe_.run.save_minutes > 0 && SecondsSince(last_save_) > recipe_.run.save_minutes * 60;
    ProcessGroup& processes = stage_.parallel->processes();
    auto [stopping, by_clock] = Decide(processes, stop_.Requested(), late);
    const bool last = done == recipe_.schedule.steps;
    const bool by_steps = recipe_.run.save_every > 0 && done % recipe_.run.save_every == 0;
    const bool validating =
        !stopping && (stage_.validate || stage_.predict) && (last || done % recipe_.run.validate_every == 0);
    const bool logging = validating || last || stopping || done % recipe_.run.log_every == 0;
    nlohmann::json line;
    if (logging) line = interval.Take(stage_, options_, done, factor, peak_gflops_);
    const Clock::time_point begin = Clock::now();
    if (logging) Tell(done, line);
    const bool saving = last || stopping || by_clock || by_steps;
    if (saving) MVLM_TRY(SaveNow(done, last || stopping));
    if (validating) {
      stopping = Validate(done, line);
      if (stopping && !saving) MVLM_TRY(SaveNow(done, true));
    }
    reported_ = reported_ || logging;
    if (reported_ && (saving || validating)) WriteRunReport();
    interval.LeaveOut(begin);
    if (stopping && !last && processes.first()) {
      fmt::print(stderr, "{}: stopped after step {}; the same command continues\n", recipe_.stage, done);
    }
    return stopping && !last;
  }

  // Before the checkpoint, so that a kill behind it loses no line, and before a validation that takes hours.
  void Tell(int64_t done, nlohmann::json& line) {
    line["seconds"] = SecondsSince(start_);
    const double rest = SecondsSince(start_) / static_cast<double>(done - first_) *
                        static_cast<double>(recipe_.schedule.steps - done);
    if (!log_) return;
    fmt::print(stderr, "{}\n", ProgressLine(recipe_.stage, line, recipe_.schedule.steps, rest));
    log_->Add(line);
  }

  Status SaveNow(int64_t done, bool ending) {
    MVLM_TRY(Save(stage_, options_, done));
    if (ending) stage_.parallel->processes().Barrier();  // what comes next reads the checkpoint
    last_save_ = Clock::now();
    return {};
  }

  // Adds "validation" to the line and writes the samples. True: someone wanted to stop, and nothing of it is
  // reported.
  bool Validate(int64_t done, nlohmann::json& line) {
    nlohmann::json validation;
    if (stage_.validate) validation = stage_.validate();
    const auto stopped = [&] { return Decide(stage_.parallel->processes(), stop_.Requested(), false).stop; };
    if (stopped()) return true;
    if (!validation.is_null()) {
      if (log_) fmt::print(stderr, "{} validation {}\n", recipe_.stage, validation.dump());
      line["validation"] = std::move(validation);
      if (log_) log_->AddValidation(line);
    }
    std::vector<SamplePrediction> samples;
    if (log_ && stage_.predict) samples = stage_.predict();
    if (stopped()) return true;
    if (samples.empty()) return false;
    const Status written = WriteSamples(options_.directory(), done, samples);
    if (!written) fmt::print(stderr, "{}\n", written.error().message);
    return false;
  }

  // A report that cannot be written ends no training.
  void WriteRunReport() {
    if (!log_) return;
    const Status written = WriteReport(options_.run_directory, options_.run_directory + "/report.html");
    if (!written) fmt::print(stderr, "{}\n", written.error().message);
  }

  const LoopStage& stage_;
  const LoopOptions& options_;
  const Recipe& recipe_;
  StopSignal& stop_;
  int64_t first_ = 0;
  double peak_gflops_ = 0;  // of all processes
  Clock::time_point start_, last_save_;
  std::optional<RunLog> log_;  // of rank 0
  bool reported_ = false;      // has a line
};

}  // namespace

Result<LoopEnd> RunLoop(const LoopStage& stage, const LoopOptions& options, StopSignal& stop) {
  return Loop(stage, options, stop).Run();
}

bool StageFinished(const std::string& directory, int64_t steps) {
  const auto latest = LatestCheckpoint(directory);
  return latest && latest->step >= steps;
}

}  // namespace mobilevlm::train
