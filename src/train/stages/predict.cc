#include "train/stages/predict.h"

#include <algorithm>

namespace mobilevlm::train {
namespace {

constexpr int kShortest = 8, kLongest = 64;  // of an answer that is shown

std::string Text(const Tokenizer& tokenizer, const std::vector<int>& ids) {
  std::string text = tokenizer.Decode(ids);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

}  // namespace

std::vector<int> ContinueGreedily(MobileVlmImpl& model, TokenSample prompt, const torch::Tensor& features,
                                  int most, int eos) {
  const torch::NoGradGuard no_gradients;
  const int visual = model.config().projector ? model.config().projector->tokens() : 0;
  MicroBatch batch;
  batch.text = Collate(std::vector{prompt}, visual);
  batch.features = features;
  const auto given = static_cast<int64_t>(prompt.ids.size());  // what follows is padding
  torch::Tensor rows = model.Embedded(batch.text, model.Visual(batch)).slice(0, 0, given);
  std::vector<KeyValues> past;
  std::vector<int> answer;
  while (static_cast<int>(answer.size()) < most) {
    const torch::Tensor hidden = model.HiddenAfter(past, rows);
    const int id = static_cast<int>(model.Logits(hidden.slice(0, hidden.size(0) - 1)).argmax(1).item<int64_t>());
    if (id == eos) break;
    answer.push_back(id);
    rows = model.Embedded(torch::tensor({id}, torch::kInt64));
  }
  return answer;
}

PromptAndAnswer CutBeforeAnswer(const TokenSample& sample, int eos) {
  PromptAndAnswer cut{sample, {}};
  const auto first = std::find(sample.supervised.begin(), sample.supervised.end(), 1);
  const auto begin = static_cast<size_t>(first - sample.supervised.begin());
  cut.prompt.ids.resize(begin);
  cut.prompt.supervised.resize(begin);
  cut.prompt.rounds.clear();
  for (size_t i = begin; i < sample.ids.size() && sample.supervised[i] != 0 && sample.ids[i] != eos; ++i) {
    cut.answer.push_back(sample.ids[i]);
  }
  return cut;
}

Answered AnswerSample(MobileVlmImpl& model, const Tokenizer& tokenizer, const TokenSample& sample,
                      const torch::Tensor& features) {
  PromptAndAnswer cut = CutBeforeAnswer(sample, tokenizer.eos());
  const int most = std::clamp(static_cast<int>(cut.answer.size()) + kShortest, kShortest, kLongest);
  const std::vector<int> found =
      ContinueGreedily(model, std::move(cut.prompt), features, most, tokenizer.eos());
  return {Text(tokenizer, cut.answer), Text(tokenizer, found)};
}

}  // namespace mobilevlm::train
