// `quantize --compare`: the original and the smaller file side by side on sample pictures.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "eval/fidelity.h"
#include "sample_pictures.h"

namespace mobilevlm::app {

struct CompareRequest {
  std::string original;  // a text model or an mmproj
  std::string smaller;   // made from it
  std::string other;     // the other half of the model, used with both
  SampleSource samples;
  int tokens = 16;  // of the original's answer, read by both models
  int threads = 0;
};

struct CompareReport {
  size_t pictures = 0;
  eval::CosineFidelity visual_tokens;
  eval::LogitFidelity logits;  // of every position after the picture
};

// An Error if the halves do not fit.
Result<CompareReport> CompareModels(const CompareRequest& request);

}  // namespace mobilevlm::app
