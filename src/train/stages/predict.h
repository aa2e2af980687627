// What a model in training would answer: greedy decoding, for a few short answers between steps.
#pragma once

#include <string>
#include <vector>

#include "text/tokenizer.h"
#include "train/modules/mobilevlm.h"

namespace mobilevlm::train {

// The ids that follow the prompt (a sample without its answer), at most `most` and as many as the model has
// room for, without the end token. features: [pictures, patches, vision hidden], or undefined without a
// picture.
std::vector<int> ContinueGreedily(MobileVlmImpl& model, const TokenSample& prompt,
                                  const torch::Tensor& features, int most, int eos);

// A sample cut before the first id that training supervises, and the supervised ids that follow there.
struct PromptAndAnswer {
  TokenSample prompt;       // with the pictures of the first turn only
  std::vector<int> answer;  // of the first round, without the end token
};
PromptAndAnswer CutBeforeAnswer(const TokenSample& sample, int eos);

// Answers one sample: text of what is wanted and of what the model says.
struct Answered {
  std::string wanted, found;
};
Answered AnswerSample(MobileVlmImpl& model, const Tokenizer& tokenizer, const TokenSample& sample,
                      const torch::Tensor& features);

}  // namespace mobilevlm::train
