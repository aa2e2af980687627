#include "train/data/token_batch.h"

#include <algorithm>

#include "base/check.h"

namespace mobilevlm::train {
namespace {

// Batches are padded to a multiple of this. oneDNN compiles a kernel for every shape it meets and keeps a
// limited number of them; with every length a shape of its own, most steps would wait for the compiler.
constexpr int64_t kLengthStep = 16;

}  // namespace

Result<TokenSample> MakeTokenSample(const Tokenizer& tokenizer, ChatTemplate chat_template,
                                    const std::vector<Turn>& turns, int visual) {
  MVLM_ASSIGN(const Prompt prompt, AssemblePrompt(tokenizer, chat_template, "", turns));
  TokenSample sample;
  for (const PromptSegment& segment : prompt.segments) {
    if (segment.is_image) {
      if (sample.image_start >= 0) return Fail("a training sample has more than one picture");
      sample.image_start = static_cast<int>(sample.ids.size());
      sample.ids.resize(sample.ids.size() + static_cast<size_t>(visual), 0);
      sample.supervised.resize(sample.ids.size(), 0);
      continue;
    }
    sample.ids.insert(sample.ids.end(), segment.ids.begin(), segment.ids.end());
    sample.supervised.insert(sample.supervised.end(), segment.supervised.begin(), segment.supervised.end());
  }
  return sample;
}

TokenBatch Collate(std::span<const TokenSample> samples, int visual) {
  TokenBatch result;
  result.batch = static_cast<int64_t>(samples.size());
  for (const TokenSample& sample : samples) {
    result.tokens = std::max(result.tokens, static_cast<int64_t>(sample.ids.size()));
  }
  result.tokens = (result.tokens + kLengthStep - 1) / kLengthStep * kLengthStep;
  std::vector<int64_t> ids(static_cast<size_t>(result.batch * result.tokens), 0);
  std::vector<int64_t> image_rows, source_rows, targets;
  for (size_t s = 0; s < samples.size(); ++s) {
    const TokenSample& sample = samples[s];
    const int64_t base = static_cast<int64_t>(s) * result.tokens;
    std::copy(sample.ids.begin(), sample.ids.end(), ids.begin() + base);
    for (int v = 0; sample.image_start >= 0 && v < visual; ++v) {
      image_rows.push_back(base + sample.image_start + v);
    }
    MVLM_CHECK(sample.supervised.empty() || sample.supervised[0] == 0,
               "the first id has nothing to predict it");
    for (size_t t = 1; t < sample.ids.size(); ++t) {
      if (!sample.supervised[t]) continue;
      source_rows.push_back(base + static_cast<int64_t>(t) - 1);
      targets.push_back(sample.ids[t]);
      result.samples.push_back(static_cast<int>(s));
    }
  }
  result.ids = torch::tensor(ids, torch::kInt64);
  result.image_rows = torch::tensor(image_rows, torch::kInt64);
  result.source_rows = torch::tensor(source_rows, torch::kInt64);
  result.targets = torch::tensor(targets, torch::kInt64);
  return result;
}

}  // namespace mobilevlm::train
