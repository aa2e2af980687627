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

std::vector<int> ContinueGreedily(MobileVlmImpl& model, const TokenSample& prompt,
                                  const torch::Tensor& features, int most, int eos) {
  const torch::NoGradGuard no_gradients;
  const int visual = model.config().projector ? model.config().projector->tokens() : 0;
  MicroBatch batch;
  batch.text = Collate(std::vector{prompt}, visual);
  batch.features = features;
  const auto given = static_cast<int64_t>(prompt.ids.size());  // what follows is padding
  // The last id of an answer is never read.
  most = std::min(most, model.positions() - static_cast<int>(given) + 1);
  torch::Tensor rows = model.Embedded(batch.text, model.Visual(batch)).slice(0, 0, given);
  std::vector<KeyValues> past;
  std::vector<int> answer;
  while (static_cast<int>(answer.size()) < most) {
    const torch::Tensor hidden = model.HiddenAfter(past, rows);
    const torch::Tensor logits = model.Logits(hidden.slice(0, hidden.size(0) - 1));
    const int id = static_cast<int>(logits.argmax(1).item<int64_t>());
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
  cut.prompt.looks.clear();
  std::erase_if(cut.prompt.image_starts, [&](int start) { return static_cast<size_t>(start) >= begin; });
  for (size_t i = begin; i < sample.ids.size() && sample.supervised[i] != 0 && sample.ids[i] != eos; ++i) {
    cut.answer.push_back(sample.ids[i]);
  }
  return cut;
}

Answered AnswerSample(MobileVlmImpl& model, const Tokenizer& tokenizer, const TokenSample& sample,
                      const torch::Tensor& features) {
  const PromptAndAnswer cut = CutBeforeAnswer(sample, tokenizer.eos());
  const int most = std::clamp(static_cast<int>(cut.answer.size()) + kShortest, kShortest, kLongest);
  // Pictures of later turns are not shown yet.
  const auto shown = static_cast<int64_t>(cut.prompt.image_starts.size());
  const torch::Tensor seen = shown > 0 ? features.slice(0, 0, shown) : torch::Tensor();
  const std::vector<int> found = ContinueGreedily(model, cut.prompt, seen, most, tokenizer.eos());
  return {Text(tokenizer, cut.answer), Text(tokenizer, found)};
}

}  // namespace mobilevlm::train
