// A trained mini run measured on the mini world's test split, in torch: whatever its projector, so also those
// that have no GGUF form. Exact match by teacher forcing, which is what greedy decoding would print.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"

namespace mobilevlm::train {

struct ScoreOptions {
  std::string run;         // directory of the run; its multitask stage is measured
  int64_t per_kind = 200;  // questions of each kind, those of `mobilevlm eval world`
  int threads = 0;         // 0: one per CPU
};

// {"split": "test", "per_kind": 200, "step": .., "samples": .., "seed": .., "projector": "ldpnetv2",
//  "projector_parameters": .., "tokens": 36,
//  "kinds": {"name": {"right": "0110..", "blank": "0000.."}, ..}}
// One digit a question, 1 if it is answered right; "blank" is with a picture of the mean colour instead.
// `samples` are those that align (if it was trained) and multitask have seen.
Result<nlohmann::ordered_json> ScoreRun(const ScoreOptions& options);

}  // namespace mobilevlm::train
