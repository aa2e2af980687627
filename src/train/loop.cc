#include "train/loop.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include "base/directories.h"
#include "costs/ceilings.h"
#include "train/loop_checkpoint.h"
#include "train/runlog/checkpoint_directory.h"
#include "train/runlog/run_log.h"

namespace mobilevlm::train {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Largest resident set of this process so far, in bytes.
double PeakMemory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024.0;
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

// Decided by all together: whether to stop, because some process was told to; whether to save, by rank 0's
// clock; and what all have left out.
struct Decision {
  bool stop, save;
  data::SkipList::Counts left_out;
};
Decision Decide(ProcessGroup& processes, bool stop, bool save, const data::SkipList::Counts& left_out) {
  std::vector<double> votes{stop ? 1.0 : 0.0, processes.first() && save ? 1.0 : 0.0,
                            static_cast<double>(left_out.seen), static_cast<double>(left_out.skipped)};
  processes.Sum(votes);
  return {votes[0] > 0, votes[1] > 0, {static_cast<uint64_t>(votes[2]), static_cast<uint64_t>(votes[3])}};
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
                      double peak_gflops) {
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

  bool empty() const { return count_ == 0; }

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
      : stage_(stage), options_(options), recipe_(options.recipe), stop_(stop) {
    stage_.parallel->StopWhen([&stop] { return stop.Requested(); });
  }
  ~Loop() { stage_.parallel->StopWhen(nullptr); }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  Result<LoopEnd> Run() {
    ProcessGroup& processes = stage_.parallel->processes();
    MVLM_TRY(MakeDirectories(options_.directory()));
    std::optional<DirectoryLock> lock;
    if (processes.first()) {
      MVLM_ASSIGN(DirectoryLock taken, DirectoryLock::Take(options_.directory()));
      lock.emplace(std::move(taken));
    }
    MVLM_ASSIGN(const Beginning beginning, Resume(stage_, options_));
    first_ = saved_ = beginning.step;
    before_ = beginning.left_out;
    MVLM_TRY(CheckAgreement(processes, options_, first_));
    if (first_ >= recipe_.schedule.steps) return LoopEnd::kFinished;
    stage_.optimizer->gradients().BroadcastParameters();
    if (processes.first()) {
      MVLM_ASSIGN(log_, RunLog::Open(options_.directory(), first_));
      MVLM_TRY(WriteRecipe(options_.directory(), recipe_));
    }
    TellIdleProcesses();
    if (stage_.start) stage_.start(first_);
    LookAtPeak();
    start_ = last_save_ = Clock::now();
    Interval interval(first_);
    for (int64_t step = first_; step < recipe_.schedule.steps; ++step) {
      const double factor = recipe_.Factor(step);
      const StepLoss loss = stage_.step(step);
      if (loss.stopped) {
        MVLM_TRY(StopBefore(step, factor, interval));
        return LoopEnd::kStopped;
      }
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

  // What the CPUs can do changes with what else runs on the host, so the best of several looks counts.
  void LookAtPeak() {
    if (options_.peak_threads == 0) return;
    ProcessGroup& processes = stage_.parallel->processes();
    processes.Barrier();  // all at the same time, as they compute
    std::vector<double> peak{costs::MeasureFp32Gflops(options_.peak_threads)};
    processes.Sum(peak);
    peak_gflops_ = std::max(peak_gflops_, peak[0]);
  }

  // Log, checkpoint, validation. True: someone wants to stop before the last step.
  Result<bool> AfterStep(int64_t done, double factor, Interval& interval) {
    const bool late =
        recipe_.run.save_minutes > 0 && SecondsSince(last_save_) > recipe_.run.save_minutes * 60;
    ProcessGroup& processes = stage_.parallel->processes();
    auto [stopping, by_clock, left_out] = Decide(processes, stop_.Requested(), late, LeftOut());
    left_out_ = left_out;
    const Status usable = stage_.check_left_out ? stage_.check_left_out(left_out_) : Status{};
    stopping = stopping || !usable;
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
    if (saving) LookAtPeak();
    interval.LeaveOut(begin);
    if (!usable) return tl::unexpected(usable.error());
    if (stopping && !last) TellStopped(done);
    return stopping && !last;
  }

  // The step behind `done` was broken off.
  Status StopBefore(int64_t done, double factor, Interval& interval) {
    if (!interval.empty()) {
      nlohmann::json line = interval.Take(stage_, options_, done, factor, peak_gflops_);
      Tell(done, line);
      reported_ = true;
    }
    if (done > saved_) MVLM_TRY(SaveNow(done, true));
    if (reported_) WriteRunReport();
    TellStopped(done);
    return {};
  }

  void TellStopped(int64_t done) const {
    if (!stage_.parallel->processes().first()) return;
    fmt::print(stderr, "{}: stopped after step {}; the same command continues\n", recipe_.stage, done);
  }

  // Of this process; those of the run before a resume are rank 0's.
  data::SkipList::Counts LeftOut() const {
    if (!stage_.left_out) return {};
    data::SkipList::Counts own = stage_.left_out();
    if (!stage_.parallel->processes().first()) return own;
    return {own.seen + before_.seen, own.skipped + before_.skipped};
  }

  // Before the checkpoint, so that a kill behind it loses no line, and before a validation that takes hours.
  void Tell(int64_t done, nlohmann::json& line) {
    line["seconds"] = SecondsSince(start_);
    if (stage_.left_out) line["left_out"] = left_out_.skipped;
    const double rest = SecondsSince(start_) / static_cast<double>(done - first_) *
                        static_cast<double>(recipe_.schedule.steps - done);
    if (!log_) return;
    fmt::print(stderr, "{}\n", ProgressLine(recipe_.stage, line, recipe_.schedule.steps, rest));
    log_->Add(line);
  }

  Status SaveNow(int64_t done, bool ending) {
    MVLM_TRY(Save(stage_, options_, done, left_out_));
    saved_ = done;
    if (stage_.list_left_out) stage_.list_left_out();
    if (ending) stage_.parallel->processes().Barrier();  // what comes next reads the checkpoint
    last_save_ = Clock::now();
    return {};
  }

  // Adds "validation" to the line and writes the samples. True: someone wanted to stop, and nothing of it is
  // reported.
  bool Validate(int64_t done, nlohmann::json& line) {
    nlohmann::json validation;
    if (stage_.validate) validation = stage_.validate();
    const auto stopped = [&] {
      return Decide(stage_.parallel->processes(), stop_.Requested(), false, {}).stop;
    };
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
  int64_t first_ = 0, saved_ = 0;             // steps: where it began; of the newest checkpoint
  data::SkipList::Counts before_, left_out_;  // before it began; by all processes, with that
  double peak_gflops_ = 0;                    // of all processes
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
