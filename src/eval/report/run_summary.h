// What a report says beside the scores: which model, how fast, how much memory; and the answers it shows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "eval/score_sheet.h"

namespace mobilevlm::eval {

// Milliseconds per question.
struct Latency {
  size_t count = 0;
  double mean = 0, median = 0, p90 = 0;
};

struct RunSummary {
  std::string model;    // model_id
  std::string files;    // "text.gguf + mmproj.gguf", empty for answers made elsewhere
  std::string machine;  // "avx512vnni, 2 threads, 1 worker"
  std::string data;
  Latency total;
  double image_ms = 0, prompt_ms = 0, generate_ms = 0;     // means per question
  double tokens = 0;                                       // generated, mean per question
  uint64_t peak_memory = 0;                                // bytes; 0: not known
  double images_per_second = 0, questions_per_second = 0;  // of the last run; 0: nothing was asked
};

// Means and quantiles of a file of times that RunBenchmark wrote (RunOptions::timings); an empty or missing
// file leaves them 0.
Status ReadTimings(const std::string& path, RunSummary& summary);

// One answer to look at.
struct GalleryItem {
  std::string id, prompt, references, answer, reading;
  double score = 0;
  std::string picture;  // data URI, empty if there is none
};

struct Report {
  std::string title;  // of the task
  ScoreSheet sheet;
  RunSummary run;
  std::vector<GalleryItem> gallery;
};

std::string ToMarkdown(const Report& report);
// Self-contained: style, plots and pictures inside.
std::string ToHtml(const Report& report);
// A table for the terminal.
std::string ToText(const ScoreSheet& sheet);

// "57.3", "1302.8", "12.0 to 14.1", with % where it is one.
std::string FormatValue(const Figure& figure);
std::string FormatInterval(const Figure& figure);
// The reading for people: "71.2 s", "350 ms".
std::string FormatMilliseconds(double milliseconds);

}  // namespace mobilevlm::eval
