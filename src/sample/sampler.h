// Sampler: from logits to the next token id, in the order of Hugging Face's generate():
//   repetition penalty -> temperature -> top-k -> top-p -> min-p -> draw.
// Temperature 0 is greedy: the largest logit, the lowest id on a tie.
//
// The stream of a seed is the same on every platform (base/random.h).
// Thread contract: one sampler serves one generation.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "base/result.h"

namespace mobilevlm {

struct SamplerOptions {
  float temperature = 0.0f;         // 0: greedy; else logits are divided by it
  int top_k = 0;                    // keep the k likeliest; 0 keeps all
  float top_p = 1.0f;               // keep the smallest set whose probability reaches p (nucleus)
  float min_p = 0.0f;               // drop what is less likely than min_p times the likeliest
  float repetition_penalty = 1.0f;  // CTRL (arXiv 1909.05858): > 1 makes seen tokens less likely
  uint64_t seed = 0;
};

// An Error names the option that is out of range.
Status CheckSamplerOptions(const SamplerOptions& options);

class Sampler {
 public:
  // `options` must pass CheckSamplerOptions.
  explicit Sampler(const SamplerOptions& options);

  // `logits` [vocab]; `seen` are the ids the repetition penalty applies to, with or without repeats; ids
  // outside the vocabulary are ignored. NaN never wins; an Error if no logit is a number above -infinity.
  Result<int> Sample(std::span<const float> logits, std::span<const int> seen);

 private:
  struct Candidate {
    float logit;
    int id;
    float weight = 0;  // exp of it, relative to the likeliest
  };

  void Penalise(std::span<const int> seen);
  int Draw();
  const Candidate& Likeliest(size_t rank);
  void Keep(size_t count);

  SamplerOptions options_;
  Random random_;
  std::vector<Candidate> candidates_;  // scratch, [vocab] before the filters
  size_t sorted_ = 0;                  // of candidates_: the likeliest, in order, stand in front
  std::vector<uint8_t> penalised_;     // scratch, [vocab]: the penalty hits each id once
};

// The index of the largest number in `logits`, the first one on a tie; -1 if there is none.
int ArgMax(std::span<const float> logits);

}  // namespace mobilevlm
