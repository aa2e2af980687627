#include "eval_task.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/content_hash.h"
#include "base/directories.h"
#include "base/read_file.h"
#include "base/units.h"
#include "commands.h"
#include "engine/picture.h"
#include "eval/json_row.h"
#include "eval/runner.h"
#include "eval/sheet_json.h"
#include "eval/tasks/files.h"
#include "fingerprint.h"

namespace mobilevlm::app {
namespace {

namespace fs = std::filesystem;

// Below this, two models with one thread each are faster than one with two: their steps are too short to
// share.
constexpr uint64_t kSmallModel = uint64_t{64} << 20;
constexpr uint64_t kLargestRunFile = 1 << 20;

std::string DefaultModelId(const LoadOptions& load) {
  const fs::path path(load.text);
  const std::string stem = path.stem().string();
  std::error_code ignored;  // then there is no absolute path
  return stem == "text" && path.has_parent_path()
             ? fs::absolute(path, ignored).parent_path().filename().string()
             : stem;
}

// Everything that shapes the answers, and which of them this run gives.
std::string RunFile(const eval::Benchmark& benchmark, const EvalTaskFlags& flags,
                    const std::string& model_id) {
  std::string settings = fmt::format(
      "{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}", ToHex(FileFingerprint(flags.load.text)),
      ToHex(FileFingerprint(flags.load.mmproj)), static_cast<int>(flags.load.kv), flags.load.context,
      static_cast<int>(benchmark.fit), benchmark.max_tokens, flags.confidence, model_id);
  for (const eval::Question& question : benchmark.questions)
    settings += "\n" + question.id + "\n" + question.prompt;
  return fmt::format(
      "{{\"task\": {}, \"variant\": {}, \"model\": {}, \"questions\": {}, \"shard\": \"{}/{}\", "
      "\"fingerprint\": \"{}\"}}\n",
      eval::JsonQuote(benchmark.task), eval::JsonQuote(benchmark.variant), eval::JsonQuote(model_id),
      benchmark.questions.size(), flags.shard, flags.shards,
      ToHex(HashBytes(settings.data(), settings.size())));
}

// A directory belongs to one run: the same command continues it.
Status ClaimDirectory(const std::string& out, const std::string& run) {
  MVLM_TRY(MakeDirectories(out));
  const std::string path = out + "/run.json";
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return WriteFileAtomically(path, run);
  MVLM_ASSIGN(const std::string before, ReadFile(path, kLargestRunFile));
  if (before == run) return {};
  return Fail(
      "{}: holds another run, of another model, other questions or other settings; give another --out", out);
}

Result<std::vector<Model>> LoadWorkers(const LoadOptions& load, int workers) {
  MVLM_ASSIGN(Model first, Model::Load(load));
  const int threads = first.Describe().threads;
  if (workers == 0) workers = first.Describe().memory.weights < kSmallModel ? threads : 1;
  std::vector<Model> models;
  if (workers == 1) {
    models.push_back(std::move(first));
    return models;
  }
  LoadOptions share = load;
  share.threads = std::max(1, threads / workers);
  for (int i = 0; i < workers; ++i) {
    MVLM_ASSIGN(Model model, Model::Load(share));
    models.push_back(std::move(model));
  }
  return models;
}

Result<Picture> Decode(const Picture& picture) {
  MVLM_ASSIGN(Image image, engine::LoadPicture(picture));
  Picture decoded = Picture::FromRgb(image.width, image.height, std::move(image.rgb));
  decoded.name = picture.name;
  return decoded;
}

void PrintStats(const eval::RunStats& stats) {
  const double all =
      std::max(1e-9, stats.wait_ms + stats.image_ms + stats.prompt_ms + stats.generate_ms + stats.other_ms);
  const auto share = [&](double part) { return 100 * part / all; };
  fmt::print(stderr,
             "asked {} ({} images) in {:.1f} s: {:.3g} questions/s, {:.3g} images/s; {} before, {} left out\n"
             "time: reading pictures {:.0f} %, vision {:.0f} %, prompt {:.0f} %, decoding {:.0f} %, other "
             "{:.0f} %; peak memory {}\n",
             stats.asked, stats.images, stats.seconds, stats.questions_per_second(),
             stats.images_per_second(), stats.before, stats.skipped, share(stats.wait_ms),
             share(stats.image_ms), share(stats.prompt_ms), share(stats.generate_ms), share(stats.other_ms),
             FormatBytes(PeakMemory()));
  for (const std::string& why : stats.skipped_questions) fmt::print(stderr, "left out: {}\n", why);
}

Status WriteReports(const eval::Task& task, const eval::Benchmark& benchmark, const eval::Answers& answers,
                    const eval::ScoreSheet& sheet, const eval::RunSummary& run, const std::string& out) {
  MVLM_TRY(MakeDirectories(out));
  const eval::Report report{.title = std::string(task.title),
                            .sheet = sheet,
                            .run = run,
                            .gallery = MakeGallery(benchmark, answers, sheet)};
  MVLM_TRY(WriteFileAtomically(out + "/scores.json", eval::RunToJson(sheet, run)));
  MVLM_TRY(WriteFileAtomically(out + "/report.md", eval::ToMarkdown(report)));
  MVLM_TRY(WriteFileAtomically(out + "/report.html", eval::ToHtml(report)));
  fmt::print(stderr, "{0}/scores.json, {0}/report.md, {0}/report.html\n", out);
  return {};
}

// Whether a question without an answer could have had one, as far as its picture goes.
bool CanBeRead(const eval::Question& question) {
  if (!question.image) return true;
  auto picture = question.image->Open();
  if (!picture) return false;
  picture->apply_exif = false;  // as when it is asked about
  return engine::LoadPicture(*picture).has_value();
}

bool HasReferences(const eval::Benchmark& benchmark) {
  return std::any_of(benchmark.questions.begin(), benchmark.questions.end(),
                     [](const eval::Question& question) { return !question.references.empty(); });
}

// What the flags change in how a benchmark is asked.
void ApplySettings(const EvalTaskFlags& flags, eval::Benchmark& benchmark) {
  const int max_tokens = flags.max_tokens > 0 ? flags.max_tokens : benchmark.max_tokens;
  if (max_tokens != benchmark.max_tokens) {
    benchmark.deviations.push_back(
        fmt::format("answers of at most {} tokens, not {}", max_tokens, benchmark.max_tokens));
    benchmark.max_tokens = max_tokens;
  }
  const ImageFit fit = flags.image_mode.empty()    ? benchmark.fit
                       : flags.image_mode == "pad" ? ImageFit::kPad
                                                   : ImageFit::kCrop;
  if (fit != benchmark.fit) {
    benchmark.deviations.push_back("--image-mode " + flags.image_mode);
    benchmark.fit = fit;
  }
  if (flags.limit > 0 && flags.limit < benchmark.questions.size()) {
    benchmark.notes.push_back(
        fmt::format("only the first of {} questions (--limit {})", benchmark.questions.size(), flags.limit));
    benchmark.deviations.push_back(benchmark.notes.back());
    eval::LimitQuestions(flags.limit, benchmark.questions);
  }
}

// Scores of answers from a file must not replace those of a run that is in `out`. A file is of that run if it
// holds all that the run has answered: its own, or what its shards were merged to.
Status CheckAnswersBelong(const std::string& answers, const std::string& out) {
  std::error_code ignored;
  if (!fs::exists(out + "/run.json", ignored)) return {};
  const std::string own = out + "/answers.jsonl";
  bool belongs = fs::equivalent(answers, own, ignored);
  if (!belongs && answers != "-" && fs::exists(own, ignored)) {
    MVLM_ASSIGN(belongs, eval::HoldsAllRows(answers, own));
  }
  if (belongs) return {};
  return Fail("{}: holds another run than {}, whose scores would be lost; give another --out", out, answers);
}

}  // namespace

uint64_t PeakMemory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

Status AskBenchmark(const eval::Benchmark& benchmark, const EvalTaskFlags& flags, const std::string& out,
                    eval::RunSummary& run) {
  LoadOptions load = flags.load;
  MVLM_TRY(UseBundledModelIfNone(load));
  EvalTaskFlags named = flags;
  named.load = load;
  const std::string model_id = flags.model_id.empty() ? DefaultModelId(load) : flags.model_id;
  MVLM_TRY(ClaimDirectory(out, RunFile(benchmark, named, model_id)));
  MVLM_ASSIGN(const std::vector<Model> workers, LoadWorkers(load, flags.workers));

  eval::RunOptions options;
  options.answers = out + "/answers.jsonl";
  options.timings = out + "/timings.jsonl";
  options.model_id = model_id;
  options.range = eval::ShardOf(benchmark.questions, flags.shard, flags.shards);
  options.confidence = flags.confidence;
  options.on_missing = flags.task.on_missing;
  options.cancel = &InterruptFlag();
  options.decode = Decode;
  MVLM_ASSIGN(const eval::RunStats stats, eval::RunBenchmark(benchmark, workers, options));
  PrintStats(stats);
  if (Interrupted()) return Fail("interrupted; the same command continues");

  const ModelInfo& info = workers[0].Describe();
  run.model = model_id;
  run.files = fs::path(load.text).filename().string() + " + " + fs::path(load.mmproj).filename().string();
  run.machine = fmt::format("{}, {} worker(s) of {} thread(s)", info.isa, workers.size(), info.threads);
  run.peak_memory = PeakMemory();
  run.questions_per_second = stats.questions_per_second();
  run.images_per_second = stats.images_per_second();
  return eval::ReadTimings(options.timings, run);
}

Status RunEvalBenchmark(const eval::Task& task, const EvalTaskFlags& flags, eval::Benchmark benchmark) {
  ApplySettings(flags, benchmark);
  if (benchmark.questions.empty()) return Fail("{}: no question to ask", task.name);

  const std::string out = flags.out.empty() ? "eval-" + std::string(task.name) : flags.out;
  const bool asks = flags.answers.empty();
  if (!asks && !flags.out.empty()) MVLM_TRY(CheckAnswersBelong(flags.answers, out));
  eval::RunSummary run;
  run.data = flags.task.data;
  if (asks) {
    MVLM_TRY(AskBenchmark(benchmark, flags, out, run));
  } else {
    run.model = flags.model_id.empty() ? fs::path(flags.answers).filename().string() : flags.model_id;
  }
  if (flags.shards > 1) {
    fmt::print(stderr, "{}: shard {} of {} is answered; eval merge puts them together\n", out, flags.shard,
               flags.shards);
    return {};
  }
  MVLM_ASSIGN(eval::Answers answers,
              eval::ReadAnswers(asks ? out + "/answers.jsonl" : flags.answers, benchmark));
  if (flags.task.on_missing == eval::OnMissing::kSkip) {
    // What this run has not answered it left out because of the picture; of a file only the pictures tell.
    eval::LeaveOutUnanswered([&](const auto& question) { return asks || !CanBeRead(question); }, benchmark,
                             answers);
    if (benchmark.questions.empty()) return Fail("{}: no picture can be read", task.name);
  }
  if (!HasReferences(benchmark)) {
    fmt::print(stderr, "{}: these questions have no reference answers, so nothing is scored\n", task.name);
    return {};
  }
  const eval::ScoreSheet sheet = task.score(benchmark, answers);
  if (asks || !flags.out.empty()) MVLM_TRY(WriteReports(task, benchmark, answers, sheet, run, out));
  const std::string text = flags.json ? eval::SheetToJson(sheet) : eval::ToText(sheet);
  std::fputs(text.c_str(), stdout);
  return {};
}

Status RunEvalTask(const eval::Task& task, const EvalTaskFlags& flags) {
  MVLM_ASSIGN(eval::Benchmark benchmark, task.load(flags.task));
  if (!flags.task.questions.empty()) MVLM_TRY(eval::ApplyQuestionFile(flags.task.questions, benchmark));
  // Scoring needs no pictures.
  if (flags.answers.empty()) MVLM_TRY(eval::CheckPictures(flags.task.on_missing, benchmark));
  return RunEvalBenchmark(task, flags, std::move(benchmark));
}

}  // namespace mobilevlm::app
