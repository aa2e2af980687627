#include "eval/runner.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "base/progress.h"
#include "eval/ask.h"

namespace mobilevlm::eval {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kLongestUnit = 64;       // questions
constexpr size_t kMostSkippedShown = 20;  // of RunStats::skipped_questions

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Consecutive questions about one picture: what a worker takes at a time.
struct WorkUnit {
  size_t begin = 0, end = 0;
};

std::vector<WorkUnit> SplitWork(const Benchmark& benchmark, size_t begin, size_t end) {
  std::vector<WorkUnit> units;
  const auto name = [&](size_t i) {
    return benchmark.questions[i].image ? benchmark.questions[i].image->name : "";
  };
  for (size_t i = begin; i < end; ++i) {
    const bool joins =
        !units.empty() && name(i) == name(units.back().begin) && i - units.back().begin < kLongestUnit;
    if (!joins) units.push_back({i, i});
    units.back().end = i + 1;
  }
  return units;
}

using MaybePicture = std::optional<Picture>;

// What came of one question.
struct Outcome {
  std::optional<Asked> asked;  // nothing: left out
  double milliseconds = 0;     // from the first to the last step
};

// The file, the counters and the order; shared by the workers.
class Collector {
 public:
  Collector(const Benchmark& benchmark, AnswerFile file, std::optional<LineLog> timings, size_t end)
      : file_(std::move(file)),
        timings_(std::move(timings)),
        next_(file_.next()),
        begin_(file_.next()),
        progress_("asking " + benchmark.task, end - file_.next()) {
    stats_.before = file_.rows();
  }

  // The outcome of question `index`; written as soon as those before it are.
  Status Add(size_t index, Outcome outcome) {
    const std::lock_guard lock(mutex_);
    waiting_.emplace(index, std::move(outcome));
    for (auto it = waiting_.begin(); it != waiting_.end() && it->first == next_;
         it = waiting_.erase(it), ++next_) {
      MVLM_TRY(Write(it->first, it->second));
    }
    const double seconds = MillisecondsSince(start_) / 1000;
    progress_.Update(next_ - begin_,
                     fmt::format("{:.3g} images/s", static_cast<double>(stats_.images) / seconds));
    return {};
  }

  void AddWait(double milliseconds) {
    const std::lock_guard lock(mutex_);
    stats_.wait_ms += milliseconds;
  }

  void AddSkipped(const std::string& why) {
    const std::lock_guard lock(mutex_);
    ++stats_.skipped;
    if (stats_.skipped_questions.size() < kMostSkippedShown) stats_.skipped_questions.push_back(why);
  }

  RunStats Take() {
    stats_.seconds = MillisecondsSince(start_) / 1000;
    return stats_;
  }

 private:
  Status Write(size_t index, const Outcome& outcome) {
    if (!outcome.asked) return {};
    MVLM_TRY(file_.Append(index, outcome.asked->answer));
    const Stats& s = outcome.asked->stats;
    ++stats_.asked;
    stats_.images += static_cast<size_t>(s.images);
    stats_.image_ms += s.image_ms;
    stats_.prompt_ms += s.prompt_ms;
    stats_.generate_ms += s.generate_ms;
    stats_.other_ms += std::max(0.0, outcome.milliseconds - s.image_ms - s.prompt_ms - s.generate_ms);
    if (!timings_) return {};
    return timings_->Append(fmt::format(
        "{{\"index\": {}, \"total_ms\": {:.3f}, \"image_ms\": {:.3f}, \"prompt_ms\": {:.3f}, "
        "\"generate_ms\": {:.3f}, "
        "\"generated\": {}, \"images\": {}}}",
        index, outcome.milliseconds, s.image_ms, s.prompt_ms, s.generate_ms, s.generated, s.images));
  }

  std::mutex mutex_;
  AnswerFile file_;
  std::optional<LineLog> timings_;
  size_t next_;
  const size_t begin_;
  std::map<size_t, Outcome> waiting_;  // answered before their turn
  RunStats stats_;
  Clock::time_point start_ = Clock::now();
  Progress progress_;
};

class Run {
 public:
  Run(const Benchmark& benchmark, const RunOptions& options, Collector& collector,
      std::vector<WorkUnit> units)
      : benchmark_(benchmark), options_(options), collector_(collector), units_(std::move(units)) {}

  // One worker's part; the first Error of any worker ends all.
  void Work(const Model& model, bool prefetch) {
    auto session = model.NewSession();
    if (!session) return Stop(session.error());
    std::future<Result<MaybePicture>> ahead;
    for (size_t unit = Take(); unit < units_.size() && !Stopped();) {
      const Clock::time_point start = Clock::now();
      const Result<MaybePicture> picture = ahead.valid() ? ahead.get() : Open(unit);
      collector_.AddWait(MillisecondsSince(start));
      const size_t next = Take();
      if (prefetch && next < units_.size()) {
        ahead = std::async(std::launch::async | std::launch::deferred, [this, next] { return Open(next); });
      }
      if (const Status done = AnswerUnit(*session, units_[unit], picture); !done) return Stop(done.error());
      unit = next;
    }
  }

  Status Finish() const { return error_ ? Status(tl::unexpected<Error>(*error_)) : Status(); }

 private:
  size_t Take() { return next_unit_.fetch_add(1); }
  bool Stopped() const { return stop_.load() || (options_.cancel != nullptr && options_.cancel->load()); }
  void Stop(const Error& error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = error;
    stop_.store(true);
  }

  Result<MaybePicture> Open(size_t unit) const {
    const Question& question = benchmark_.questions[units_[unit].begin];
    if (!question.image) return MaybePicture();
    MVLM_ASSIGN(Picture picture, question.image->Open());
    picture.fit = benchmark_.fit;
    picture.apply_exif = false;  // the reference does not
    if (options_.decode) {
      MVLM_ASSIGN(picture, options_.decode(picture));
      picture.fit = benchmark_.fit;
    }
    return MaybePicture(std::move(picture));
  }

  Status AnswerUnit(Session& session, const WorkUnit& unit, const Result<MaybePicture>& picture) {
    for (size_t i = unit.begin; i < unit.end && !Stopped(); ++i) {
      const Question& question = benchmark_.questions[i];
      if (!picture) {
        const auto error = Context(picture.error(), "{}", question.where);
        if (options_.on_missing == OnMissing::kFail) return error;
        collector_.AddSkipped(error.value().message);
        MVLM_TRY(collector_.Add(i, {}));
        continue;
      }
      const Clock::time_point start = Clock::now();
      auto asked =
          AskQuestion(session, benchmark_, question, *picture, {options_.confidence, options_.cancel});
      if (!asked) return Context(asked.error(), "{}", question.where);
      if (!*asked) return {};  // cancelled
      MVLM_TRY(collector_.Add(i, {.asked = std::move(*asked), .milliseconds = MillisecondsSince(start)}));
    }
    return {};
  }

  const Benchmark& benchmark_;
  const RunOptions& options_;
  Collector& collector_;
  const std::vector<WorkUnit> units_;
  std::atomic<size_t> next_unit_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::optional<Error> error_;
};

}  // namespace

Result<RunStats> RunBenchmark(const Benchmark& benchmark, const std::vector<Model>& workers,
                              const RunOptions& options) {
  MVLM_ASSIGN(AnswerFile file, AnswerFile::Open(options.answers, benchmark, options.model_id,
                                                options.range.begin, options.range.end));
  std::optional<LineLog> timings;
  if (!options.timings.empty()) {
    constexpr LineLog::Form kForm = {.begin = "{\"index\": ",
                                     .wanted = "a file of times that eval has written"};
    MVLM_ASSIGN(LineLog log,
                LineLog::Open(options.timings, kForm, [](std::string_view) { return Status(); }));
    timings.emplace(std::move(log));
  }
  std::vector<WorkUnit> units = SplitWork(benchmark, file.next(), options.range.end);
  Collector collector(benchmark, std::move(file), std::move(timings), options.range.end);
  Run run(benchmark, options, collector, std::move(units));
  std::vector<std::thread> threads;
  for (size_t i = 1; i < workers.size(); ++i) {
    threads.emplace_back([&, i] { run.Work(workers[i], /*prefetch=*/false); });
  }
  run.Work(workers[0], /*prefetch=*/workers.size() == 1);
  for (std::thread& thread : threads) thread.join();
  MVLM_TRY(run.Finish());
  return collector.Take();
}

}  // namespace mobilevlm::eval
