// A run as one self-contained HTML page: per stage its numbers, curves of loss, learning rate, throughput,
// gradient norm and validation, and what the model answered about some pictures at the last validation. No
// script, nothing loaded from elsewhere; light and dark, phone and laptop.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace mobilevlm::train {

// What the model said when it was last asked; `picture` is a PNG file's bytes, empty without a picture.
struct SamplePrediction {
  std::string question, wanted, found;
  std::string picture;
};

// Writes DIR/samples.json (pictures inside, base64), which the report reads. `step`: after which they were
// made.
Status WriteSamples(const std::string& directory, int64_t step, const std::vector<SamplePrediction>& samples);

// Reads every stage of the run in `directory`: the directory itself or those in it that have a log.jsonl, in
// the order in which they were begun. A run without any log is an Error. Writes atomically.
Status WriteReport(const std::string& directory, const std::string& html_path);

}  // namespace mobilevlm::train
