#include "training_runs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <utility>

#include "base/atomic_file.h"
#include "base/content_hash.h"
#include "base/directories.h"
#include "base/mapped_file.h"
#include "base/parse_json.h"
#include "base/read_file.h"
#include "command_line.h"
#include "find_trainer.h"
#include "watched_child.h"

namespace mobilevlm::app {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLargestText = 64 << 20;
constexpr int kLockPatience = 60;  // seconds

void AddFlag(std::vector<std::string>& arguments, const std::string& flag, const std::string& value) {
  arguments.push_back(flag);
  arguments.push_back(value);
}

double MeanOf(const std::vector<std::vector<double>>& kinds) {
  double sum = 0, count = 0;
  for (const std::vector<double>& kind : kinds) {
    sum += std::accumulate(kind.begin(), kind.end(), 0.0);
    count += static_cast<double>(kind.size());
  }
  return count > 0 ? sum / count : 0;
}

// "0110" -> 0, 1, 1, 0.
Result<std::vector<double>> ReadDigits(const nlohmann::json& kind, const char* key,
                                       const std::string& where) {
  if (!kind.is_object() || !kind.contains(key) || !kind[key].is_string()) {
    return Fail("{}: {}: wanted a digit a question", where, key);
  }
  std::vector<double> values;
  for (const char digit : kind[key].get_ref<const std::string&>()) {
    if (digit != '0' && digit != '1') return Fail("{}: {}: wanted 0 or 1, found {}", where, key, digit);
    values.push_back(digit - '0');
  }
  return values;
}

Result<int64_t> ReadWhole(const nlohmann::json& json, const char* key, const std::string& where) {
  if (!json.contains(key) || !json[key].is_number_integer()) {
    return Fail("{}: {}: wanted a whole number", where, key);
  }
  return json[key].get<int64_t>();
}

// score.json as the trainer writes it. Nothing if it is not there, or of another number of questions.
Result<std::optional<RunScore>> ReadScore(const std::string& path, int per_kind, int64_t steps) {
  std::error_code error;
  if (!fs::exists(path, error)) return std::optional<RunScore>();
  MVLM_ASSIGN(const std::string text, ReadFile(path, kLargestText));
  const auto json = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("kinds") || !json["kinds"].is_object()) {
    return Fail("{}: wanted what `mobilevlm-train score` writes; remove it", path);
  }
  MVLM_ASSIGN(const int64_t asked, ReadWhole(json, "per_kind", path));
  if (asked != per_kind) return std::optional<RunScore>();
  MVLM_ASSIGN(const int64_t step, ReadWhole(json, "step", path));
  if (step != steps) return Fail("{}: wanted a run of {} steps, found {}; remove it", path, steps, step);
  RunScore score;
  MVLM_ASSIGN(const int64_t seed, ReadWhole(json, "seed", path));
  score.seed = static_cast<int>(seed);
  MVLM_ASSIGN(score.samples, ReadWhole(json, "samples", path));
  MVLM_ASSIGN(score.tokens, ReadWhole(json, "tokens", path));
  MVLM_ASSIGN(score.projector_parameters, ReadWhole(json, "projector_parameters", path));
  for (const auto& [kind, digits] : json["kinds"].items()) {
    score.kinds.push_back(kind);
    MVLM_ASSIGN(score.right.emplace_back(), ReadDigits(digits, "right", path + ": " + kind));
    MVLM_ASSIGN(score.blank.emplace_back(), ReadDigits(digits, "blank", path + ": " + kind));
  }
  return std::optional(std::move(score));
}

// What the variants and the budget decide for the trained stages is not to be set from outside: the reference
// would no longer be what the page says.
Status CheckSet(const std::string& set) {
  const size_t equals = set.find('='), colon = set.substr(0, equals).find(':');
  const std::string stage = colon == std::string::npos ? "" : set.substr(0, colon);
  const std::string key = set.substr(stage.empty() ? 0 : colon + 1, equals - (stage.empty() ? 0 : colon + 1));
  if (stage == "tower" || stage == "language") return {};
  constexpr std::array kTaken = {
      std::pair{"mini.projector", "--variants"}, std::pair{"mini.pool", "--variants"},
      std::pair{"mini.from", "--variants"},      std::pair{"model.train", "--variants"},
      std::pair{"mini.scenes", "--scenes"},      std::pair{"run.seed", "--seeds"},
      std::pair{"model.start", "--base"}};
  for (const auto& [taken, flag] : kTaken) {
    if (key == taken) return Fail("--set: {} is the experiment's to choose; see {}", key, flag);
  }
  if (!stage.empty() && (key == "schedule.steps" || key == "schedule.batch")) {
    return Fail("--set: {} is the experiment's to choose; see --{}-steps", set.substr(0, equals), stage);
  }
  return {};
}

// Whether the stage was trained to its end: every run would begin with something else otherwise.
Status CheckFinished(const std::string& stage) {
  const std::string path = stage + "/latest/state.json";
  MVLM_ASSIGN(const std::string text, ReadFile(path, kLargestText));
  MVLM_ASSIGN(const auto state, ParseJson(text, path));
  if (!state.is_object()) return Fail("{}: wanted the state of a checkpoint", path);
  const auto finished = state.find("finished");
  if (finished == state.end() || !finished->is_boolean()) {
    return Fail("{}: finished: wanted true or false", path);
  }
  if (finished->get<bool>()) return {};
  MVLM_ASSIGN(const int64_t step, ReadWhole(state, "step", path));
  return Fail("{}: wanted a finished stage, its newest checkpoint is of step {}", stage, step);
}

// Of a mini run's stage 0, which must be finished.
Result<std::string> HashBase(const std::string& base) {
  std::string hashes;
  for (const char* stage : {"/tower", "/language"}) {
    auto mapped = MappedFile::Open(base + stage + "/latest/model.safetensors");
    if (!mapped) return Context(mapped.error(), "--base: wanted a run of `mobilevlm train mini`");
    if (Status finished = CheckFinished(base + stage); !finished) return Context(finished.error(), "--base");
    hashes += ToHex(HashBytes(mapped->bytes().data(), mapped->bytes().size()));
  }
  return ToHex(HashBytes(hashes.data(), hashes.size()));
}

}  // namespace

double RunScore::accuracy() const { return MeanOf(right); }
double RunScore::blank_accuracy() const { return MeanOf(blank); }

// The file descriptor is the trainer's too: as long as one that lost its parent works here, nobody else does.
class TrainingRuns::Lock {
 public:
  static Result<std::shared_ptr<const Lock>> Take(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT, 0666);  // not O_CLOEXEC
    if (fd < 0) return Fail("{}: cannot be written: {}", path, std::strerror(errno));
    auto lock = std::shared_ptr<const Lock>(new Lock(fd));
    for (int second = 0; ::flock(fd, LOCK_EX | LOCK_NB) != 0; ++second) {
      if (second == kLockPatience) return Fail("{}: another experiment works in this directory", path);
      if (second == 0) fmt::print(stderr, "{}: another process still works here; waiting\n", path);
      ::sleep(1);
    }
    return lock;
  }
  ~Lock() { ::close(fd_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  explicit Lock(int fd) : fd_(fd) {}
  int fd_;
};

void AddTrainingFlags(CLI::App& command, TrainingFlags& flags) {
  const auto whole = [&](const char* name, int& value, const char* help, uint64_t most) {
    return command.add_option(name, value, help)->check(WholeNumber(1, most));
  };
  command.add_option(
      "--base", flags.base,
      "A run of `mobilevlm train mini` whose tower and language stage all begin with (default: "
      "one is trained in WORK/base)");
  command.add_option("--work", flags.work, "Directory of the training runs (default OUT/work)");
  whole("--align-steps", flags.align_steps, "Steps of 32 samples in the first stage (default 150)",
        1'000'000);
  whole("--multitask-steps", flags.multitask_steps, "Steps of 48 samples in the second (default 350)",
        1'000'000);
  whole("--scenes", flags.scenes, "Training scenes, all of them (default 20000)", 100'000'000);
  whole("--seeds", flags.seeds, "Runs of each variant, with seeds 1, 2, ...", 1000)->capture_default_str();
  whole("--threads", flags.threads, "Threads of the trainer (default: one per CPU)", 1024);
  command.add_option("--variants", flags.variants, "Only these, and the reference")->delimiter(',');
  command
      .add_option("--set", flags.set,
                  "[STAGE:]KEY=VALUE of the trainer's recipes, for all runs and the base (may be repeated)")
      ->allow_extra_args(false);
  command.add_flag("--quick", flags.quick, "Tiny sizes and a few steps, to see that it runs");
}

TrainingBudget TrainingBudget::Of(const TrainingFlags& flags) {
  TrainingBudget budget =
      flags.quick ? TrainingBudget{4, 8, 8, 8, 64} : TrainingBudget{150, 32, 350, 48, 20000};
  if (flags.align_steps > 0) budget.align_steps = flags.align_steps;
  if (flags.multitask_steps > 0) budget.multitask_steps = flags.multitask_steps;
  if (flags.scenes > 0) budget.scenes = flags.scenes;
  return budget;
}

Result<TrainingRuns> TrainingRuns::Open(const TrainingFlags& flags, const std::string& out,
                                        const std::string& label) {
  for (const std::string& set : flags.set) MVLM_TRY(CheckSet(set));
  TrainingRuns runs;
  runs.flags_ = flags;
  runs.budget_ = TrainingBudget::Of(flags);
  MVLM_ASSIGN(runs.trainer_, FindTrainer("experiment"));
  runs.work_ = flags.work.empty() ? out + "/work" : flags.work;
  runs.base_ = flags.base.empty() ? runs.work_ + "/base" : flags.base;
  if (!flags.base.empty()) {  // before anything is written
    MVLM_ASSIGN(runs.base_hash_, HashBase(runs.base_));
  }
  MVLM_TRY(MakeDirectories(runs.work_ + "/runs"));
  MVLM_ASSIGN(runs.lock_, Lock::Take(runs.work_ + "/lock"));
  if (flags.base.empty()) {
    MVLM_TRY(runs.TrainBase(label));
    MVLM_ASSIGN(runs.base_hash_, HashBase(runs.base_));
  }
  return runs;
}

Status TrainingRuns::TrainBase(const std::string& label) {
  MVLM_TRY(MakeDirectories(base_));
  std::vector<std::string> command = {trainer_,  "mini",  "--out",   base_,
                                      "--stage", "tower", "--stage", "language"};
  if (flags_.quick) command.emplace_back("--quick");
  if (flags_.threads > 0) AddFlag(command, "--threads", std::to_string(flags_.threads));
  for (const std::string& set : flags_.set) AddFlag(command, "--set", set);
  return RunWatched(command, base_ + "/trainer.log", label + ", stage 0");
}

std::vector<std::string> TrainingRuns::Settings(const Variant& variant, int seed) const {
  std::vector<std::string> set = flags_.set;
  const auto stage = [&](const std::string& name, int steps, int batch) {
    set.push_back(fmt::format("{}:schedule.steps={}", name, steps));
    set.push_back(fmt::format("{}:schedule.batch={}", name, batch));
    set.push_back(fmt::format("{}:schedule.warmup_steps={}", name, std::max(1, steps / 10)));
  };
  set.push_back(fmt::format("run.seed={}", seed));
  set.push_back(fmt::format("mini.scenes={}", std::max(1, budget_.scenes / variant.scenes_divisor)));
  if (!variant.one_stage) stage("align", budget_.align_steps, budget_.align_batch);
  const int batch = budget_.multitask_batch;
  stage("multitask", variant.one_stage ? (budget_.samples() + batch - 1) / batch : budget_.multitask_steps,
        batch);
  set.insert(set.end(), variant.set.begin(), variant.set.end());
  return set;
}

std::vector<std::string> TrainingRuns::Command(const Variant& variant, int seed) const {
  std::vector<std::string> command = {trainer_, "mini", "--out", Directory(variant, seed), "--from", base_};
  if (flags_.quick) command.emplace_back("--quick");
  if (flags_.threads > 0) AddFlag(command, "--threads", std::to_string(flags_.threads));
  // What the trainer reports while it trains, which changes nothing.
  for (const char* set :
       {"mini.questions_per_kind=16", "run.samples=2", "run.log_every=10", "run.validate_every=1000000000"}) {
    AddFlag(command, "--set", set);
  }
  for (const std::string& set : Settings(variant, seed)) AddFlag(command, "--set", set);
  return command;
}

std::string TrainingRuns::Directory(const Variant& variant, int seed) const {
  return fmt::format("{}/runs/{}-s{}", work_, variant.name, seed);
}

Status TrainingRuns::CheckSettings(const std::string& directory, const std::string& settings) const {
  const std::string path = directory + "/variant.txt";
  std::error_code error;
  if (!fs::exists(path, error)) {
    MVLM_TRY(MakeDirectories(directory));
    return WriteFileAtomically(path, settings);
  }
  MVLM_ASSIGN(const std::string before, ReadFile(path, kLargestText));
  if (before == settings) return {};
  // The first line that differs.
  size_t at = 0;
  while (at < std::min(before.size(), settings.size()) && before[at] == settings[at]) ++at;
  const auto line = [&](const std::string& text) {
    const size_t begin = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;
    return text.substr(begin, text.find('\n', begin) - begin);
  };
  return Fail("{}: was made with other settings ('{}', now '{}'); remove it or choose another --work",
              directory, line(before), line(settings));
}

Result<RunScore> TrainingRuns::Get(const Variant& variant, int seed, int per_kind, const std::string& label,
                                   bool* made) const {
  const std::vector<std::string> set = Settings(variant, seed);
  const std::string directory = Directory(variant, seed);
  MVLM_TRY(CheckSettings(directory, fmt::format("{}\nbase {}{}\n", fmt::join(set, "\n"), base_hash_,
                                                flags_.quick ? ", quick" : "")));
  const int64_t steps = variant.one_stage
                            ? (budget_.samples() + budget_.multitask_batch - 1) / budget_.multitask_batch
                            : budget_.multitask_steps;
  const std::string path = directory + "/score.json", log = directory + "/trainer.log";
  MVLM_ASSIGN(std::optional<RunScore> score, ReadScore(path, per_kind, steps));
  *made = !score;
  if (score) return std::move(*score);

  std::vector<std::string> command = Command(variant, seed);
  if (!variant.one_stage) AddFlag(command, "--stage", "align");
  AddFlag(command, "--stage", "multitask");
  MVLM_TRY(RunWatched(command, log, label));
  std::vector<std::string> scoring = {trainer_, "score", directory, "--per-kind", std::to_string(per_kind)};
  if (flags_.threads > 0) AddFlag(scoring, "--threads", std::to_string(flags_.threads));
  MVLM_TRY(RunWatched(scoring, log, label));
  MVLM_ASSIGN(score, ReadScore(path, per_kind, steps));
  if (!score) return Fail("{}: the trainer wrote no score", path);
  return std::move(*score);
}

Result<std::string> TrainingRuns::Export(const Variant& variant, int seed, const std::string& label) const {
  const std::string directory = Directory(variant, seed);
  std::error_code error;
  if (!fs::exists(directory + "/hf/config.json", error)) {  // the last that is written
    std::vector<std::string> command = Command(variant, seed);
    AddFlag(command, "--stage", "export");
    MVLM_TRY(RunWatched(command, directory + "/trainer.log", label));
  }
  return directory + "/hf";
}

}  // namespace mobilevlm::app
