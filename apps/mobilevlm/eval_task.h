// `mobilevlm eval TASK`: one benchmark from its files to its report.
//
// The directory of a run holds answers.jsonl (LLaVA's layout), timings.jsonl, run.json (what was asked of
// which model), scores.json, report.md and report.html.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "eval/report/run_summary.h"
#include "eval/tasks/task.h"
#include "mobilevlm/mobilevlm.h"

namespace mobilevlm::app {

struct EvalTaskFlags {
  LoadOptions load;
  eval::TaskOptions task;
  std::string answers;   // score this file instead of asking
  std::string out;       // directory of the run; empty: eval-TASK
  std::string model_id;  // empty: from the name of the text model's file
  size_t limit = 0;      // questions; 0: all
  size_t shard = 1, shards = 1;
  int workers = 0;         // 0: as many as pay
  int max_tokens = 0;      // 0: the task's own
  std::string image_mode;  // empty: the task's own
  bool confidence = false;
  bool json = false;
};

// Loads, asks or reads the answers, scores and reports.
Status RunEvalTask(const eval::Task& task, const EvalTaskFlags& flags);
// The same for questions that are loaded already.
Status RunEvalBenchmark(const eval::Task& task, const EvalTaskFlags& flags, eval::Benchmark benchmark);

// Asks what has no answer yet into the directory of a run. `run` gets what a report says about it.
Status AskBenchmark(const eval::Benchmark& benchmark, const EvalTaskFlags& flags, const std::string& out,
                    eval::RunSummary& run);

// Some right and some wrong answers with small pictures.
std::vector<eval::GalleryItem> MakeGallery(const eval::Benchmark& benchmark, const eval::Answers& answers,
                                           const eval::ScoreSheet& sheet);

// Bytes this process has had in memory at most.
uint64_t PeakMemory();

}  // namespace mobilevlm::app
