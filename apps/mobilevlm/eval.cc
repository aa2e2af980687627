// mobilevlm eval: benchmarks of the papers, their scorers, and what is made of several runs.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <memory>

#include "base/atomic_file.h"
#include "commands.h"
#include "eval/answer_file.h"
#include "eval/report/compare.h"
#include "eval/score_case.h"
#include "eval_task.h"

namespace mobilevlm::app {
namespace {

// A flag whose value is one of a few words.
void AddWords(CLI::App& command, const std::string& flag, const std::vector<std::string>& words,
              const std::string& description, const std::function<void(size_t)>& set) {
  const std::string listed = fmt::format("{}", fmt::join(words, "|"));
  const auto parse = [=](const std::string& text) {
    const auto found = std::find(words.begin(), words.end(), text);
    if (found == words.end()) throw CLI::ValidationError(flag, "wanted " + listed + ", found " + text);
    set(static_cast<size_t>(found - words.begin()));
  };
  command.add_option_function<std::string>(flag, parse, description)->option_text(listed);
}

// "2/8": the second of eight.
void ParseShard(const std::string& text, EvalTaskFlags& flags) {
  const char* end = text.data() + text.size();
  const auto [slash, error] = std::from_chars(text.data(), end, flags.shard);
  bool right = error == std::errc() && slash != end && *slash == '/';
  if (right) {
    const auto [rest, wrong] = std::from_chars(slash + 1, end, flags.shards);
    right = wrong == std::errc() && rest == end && flags.shard >= 1 && flags.shard <= flags.shards;
  }
  if (!right) throw CLI::ValidationError("--shard", "wanted i/n with i from 1 to n, found " + text);
}

void AddAskFlags(CLI::App& command, const std::shared_ptr<EvalTaskFlags>& flags) {
  AddModelFlags(command, flags->load);
  command.add_option(
      "--out", flags->out,
      "Directory of the run: answers, scores, report; the same command continues it (default eval-TASK)");
  command.add_option("--model-id", flags->model_id, "What the answers and reports call the model");
  command.add_option("--limit", flags->limit, "Ask only the first so many questions (0: all)")
      ->check(WholeNumber(0))
      ->capture_default_str();
  command
      .add_option_function<std::string>(
          "--shard", [flags](const std::string& text) { ParseShard(text, *flags); },
          "Only the i-th of n parts; eval merge joins them")
      ->option_text("i/n");
  command
      .add_option("--workers", flags->workers,
                  "Models that ask at the same time (0: one per thread for small models, else one)")
      ->check(WholeNumber(0, 1024))
      ->capture_default_str();
  command
      .add_option("-n,--max-tokens", flags->max_tokens,
                  "At most so many tokens (0: as the benchmark's protocol)")
      ->check(WholeNumber(0));
  AddWords(command, "--image-mode", {"pad", "crop"},
           "How a picture becomes a square (default: as the benchmark's protocol)",
           [flags](size_t i) { flags->image_mode = i == 0 ? "pad" : "crop"; });
  command.add_flag("--confidence", flags->confidence, "Also note the probability of each answer");
  AddWords(command, "--on-missing", {"fail", "skip"},
           "A picture that is missing or broken: end, or leave its question out (default fail)",
           [flags](size_t i) {
             flags->task.on_missing = i == 0 ? eval::OnMissing::kFail : eval::OnMissing::kSkip;
           });
  command.add_option("--answers", flags->answers,
                     "Score this answer file (LLaVA's layout) instead of asking");
  command.add_flag("--json", flags->json, "Scores as JSON on standard output");
}

void AddTask(CLI::App& eval, const eval::Task& task, Status& status) {
  const std::string name(task.name);
  CLI::App* command = eval.add_subcommand(
      name, fmt::format("{}\n\nExamples:\n  mobilevlm eval {} --data DIR -m text.gguf --mmproj mmproj.gguf\n"
                        "  mobilevlm eval {} --data DIR --answers answers.jsonl\n\nDIR holds: {}",
                        task.title, name, name, task.files));
  const auto flags = std::make_shared<EvalTaskFlags>();
  command->add_option("--data", flags->task.data, "Directory with the benchmark's official files")
      ->required();
  AddAskFlags(*command, flags);
  if (task.has_splits) {
    command->add_option("--split", flags->task.split, "Which split (default: the benchmark's usual one)");
  }
  command->add_option("--questions", flags->task.questions,
                      "A LLaVA question file (JSONL) that chooses and words the questions");
  if (name == "textvqa") command->add_flag("!--no-ocr", flags->task.ocr_tokens, "Ask without OCR tokens");
  if (name == "vl-checklist") {
    AddWords(*command, "--scoring", {"p-yes", "generated", "likelihood", "two-choice"},
             "How a caption is scored (default p-yes)",
             [flags](size_t i) { flags->task.vlc_scoring = static_cast<eval::VlcScoring>(i); });
  }
  command->callback([flags, &task, &status] { status = RunEvalTask(task, *flags); });
}

struct ScoreFlags {
  std::string metric, file;
  bool json = false;
};

Status RunScore(const ScoreFlags& flags) {
  MVLM_ASSIGN(const eval::JsonDocument file, eval::JsonDocument::ReadLines(flags.file));
  if (file.lines().empty()) return Fail("{}: no line to score", flags.file);
  std::string listed;
  double sum = 0;
  for (const eval::JsonRow& line : file.lines()) {
    MVLM_ASSIGN(const double score, eval::ScoreCase(flags.metric, line));
    sum += score;
    listed +=
        flags.json ? fmt::format("{}{}", listed.empty() ? "" : ", ", score) : fmt::format("{}\n", score);
  }
  const double mean = sum / static_cast<double>(file.lines().size());
  const std::string text = flags.json ? fmt::format("{{\"metric\": {}, \"scores\": [{}], \"mean\": {}}}\n",
                                                    eval::JsonQuote(flags.metric), listed, mean)
                                      : fmt::format("{}mean {}\n", listed, mean);
  std::fputs(text.c_str(), stdout);
  return {};
}

void AddScore(CLI::App& eval, Status& status) {
  CLI::App* command = eval.add_subcommand(
      "score", fmt::format("Score predictions made elsewhere\n\nExamples:\n  mobilevlm eval score --metric "
                           "textvqa_m4c predictions.jsonl\n"
                           "  mobilevlm eval score --metric pope_label answers.jsonl --json\n\n"
                           "Lines are {{\"prediction\", \"references\", \"extra\"}}. Metrics: {}.",
                           fmt::join(eval::MetricNames(), ", ")));
  const auto flags = std::make_shared<ScoreFlags>();
  command->add_option("--metric", flags->metric, "Name of the metric")->required();
  command->add_option("file", flags->file, "JSON lines (- is standard input)")->required();
  command->add_flag("--json", flags->json, "{\"metric\", \"scores\", \"mean\"}");
  command->callback([flags, &status] { status = RunScore(*flags); });
}

struct RunsFlags {
  std::vector<std::string> runs;
  std::string out;
};

// All shards of one run, each once.
Status CheckShards(const std::vector<std::string>& runs) {
  std::vector<std::string> found;
  std::string fingerprint;
  size_t count = 0;
  for (const std::string& run : runs) {
    MVLM_ASSIGN(const eval::JsonDocument file, eval::JsonDocument::Read(run + "/run.json"));
    MVLM_ASSIGN(const std::string shard, file.root().String("shard"));
    MVLM_ASSIGN(const std::string own, file.root().String("fingerprint"));
    if (!fingerprint.empty() && own != fingerprint)
      return Fail("{}: a shard of another run than {}", run, runs[0]);
    if (std::find(found.begin(), found.end(), shard) != found.end())
      return Fail("{}: shard {} is there already", run, shard);
    fingerprint = own;
    found.push_back(shard);
    const size_t slash = shard.find('/');
    if (slash != std::string::npos)
      std::from_chars(shard.data() + slash + 1, shard.data() + shard.size(), count);
  }
  if (found.size() != count)
    return Fail("merge: wanted all {} shards, found {}", count, fmt::join(found, ", "));
  return {};
}

Status RunMerge(const RunsFlags& flags) {
  std::vector<std::string> paths;
  for (const std::string& run : flags.runs) paths.push_back(run + "/answers.jsonl");
  MVLM_TRY(CheckShards(flags.runs));
  MVLM_ASSIGN(const std::string merged, eval::MergeAnswers(paths));
  return WriteFileAtomically(flags.out, merged);
}

Status RunCompare(const RunsFlags& flags) {
  std::vector<eval::ComparedRun> runs;
  for (const std::string& run : flags.runs) {
    MVLM_ASSIGN(eval::StoredRun stored, eval::ReadRun(run + "/scores.json"));
    runs.push_back({run, std::move(stored)});
  }
  MVLM_ASSIGN(const eval::Comparison comparison, eval::CompareRuns(std::move(runs)));
  if (flags.out.ends_with(".html")) return WriteFileAtomically(flags.out, eval::ToHtml(comparison));
  if (!flags.out.empty()) return WriteFileAtomically(flags.out, eval::ToMarkdown(comparison));
  std::fputs(eval::ToText(comparison).c_str(), stdout);
  return {};
}

void AddRuns(CLI::App& eval, Status& status) {
  CLI::App* merge = eval.add_subcommand("merge",
                                        "Join the answers of the shards of a run\n\nExample:\n"
                                        "  mobilevlm eval merge shard-1 shard-2 -o answers.jsonl\n"
                                        "  mobilevlm eval gqa --data DIR --answers answers.jsonl --out gqa");
  const auto merged = std::make_shared<RunsFlags>();
  merge->add_option("runs", merged->runs, "Directories of the shards, all of them")->required();
  merge->add_option("-o", merged->out, "Answer file to write")->required();
  merge->callback([merged, &status] { status = RunMerge(*merged); });

  CLI::App* compare =
      eval.add_subcommand("compare",
                          "Runs of one benchmark side by side, with paired significance\n\nExample:\n"
                          "  mobilevlm eval compare run-f16 run-q4_0\n"
                          "  mobilevlm eval compare run-f16 run-q4_0 run-q2_k -o compare.html");
  const auto compared = std::make_shared<RunsFlags>();
  compare->add_option("runs", compared->runs, "Directories of runs; the others are compared with the first")
      ->required();
  compare->add_option("-o", compared->out,
                      "Write Markdown, or HTML if it ends so, instead of a table on standard output");
  compare->callback([compared, &status] { status = RunCompare(*compared); });
}

}  // namespace

void AddEvalCommand(CLI::App& app, Status& status) {
  CLI::App* eval = app.add_subcommand(
      "eval",
      "Measure a model's answers\n\nExamples:\n"
      "  mobilevlm eval pope --data data/pope -m text.gguf --mmproj mmproj.gguf --out pope\n"
      "  mobilevlm eval world                      the bundled model on its own questions\n"
      "  mobilevlm eval score --metric anls_docvqa predictions.jsonl");
  eval->require_subcommand(1);
  for (const eval::Task& task : eval::Tasks()) {
    if (task.name != "world") AddTask(*eval, task, status);
  }
#if defined(MOBILEVLM_WORLD)
  AddEvalWorldCommand(*eval, status);
  AddEvalMiniatureCommand(*eval, status);
#endif
  AddScore(*eval, status);
  AddRuns(*eval, status);
}

}  // namespace mobilevlm::app
