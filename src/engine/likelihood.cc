// How likely given answers are: Conversation::Likelihoods.
#include <algorithm>
#include <cmath>

#include "base/stopwatch.h"
#include "engine/conversation.h"
#include "engine/layout.h"

namespace mobilevlm::engine {
namespace {

// log softmax of one row at `id`; rows of a padded embedding table have no piece and do not count.
float LogProbability(std::span<const float> logits, int id) {
  const float max = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - max);
  return static_cast<float>(double{logits[static_cast<size_t>(id)]} - max - std::log(sum));
}

// The supervised ids at the end, less the </s> behind them: what the template makes of the last answer.
std::vector<int> AnswerIds(const Prompt& prompt, int eos) {
  const PromptSegment& last = prompt.segments.back();
  size_t begin = last.ids.size();
  while (begin > 0 && last.supervised[begin - 1] != 0) --begin;
  std::vector<int> ids(last.ids.begin() + static_cast<std::ptrdiff_t>(begin), last.ids.end());
  if (!ids.empty() && ids.back() == eos) ids.pop_back();
  return ids;
}

}  // namespace

Result<std::vector<AnswerLikelihood>> Conversation::Likelihoods(
    const std::vector<Picture>& pictures, std::string_view prompt, const std::vector<std::string>& answers,
    bool first_id_only, const std::atomic<bool>* cancel, Stats* stats) {
  const Tokenizer& tokenizer = runtime_->model().tokenizer;
  // One layout per answer: the text before an answer is tokenised with it.
  std::vector<Prompt> assembled;
  std::vector<AnswerLikelihood> likelihoods;
  for (const std::string& answer : answers) {
    std::vector<Turn> turns = turns_;
    turns.push_back({std::string(prompt), answer, static_cast<int>(pictures.size())});
    MVLM_ASSIGN(Prompt whole,
                AssembleFitting(runtime_->model(), options_.chat_template, options_.system, turns));
    std::vector<int> ids = AnswerIds(whole, tokenizer.eos());
    if (answer.empty() || ids.empty()) return Fail("likelihoods: wanted answers, found an empty one");
    assembled.push_back(std::move(whole));
    likelihoods.push_back({.ids = std::move(ids), .log_probs = {}});
  }
  Stats ignored;
  Stats& total = stats != nullptr ? *stats : ignored;
  Stopwatch watch;
  MVLM_ASSIGN(std::vector<PictureCache::Loaded> loaded, LoadPictures(pictures));
  std::vector<PictureCache::Pointer> all = pictures_;  // keeps the rows alive
  if (!Encode(loaded, cancel, all, total)) return Fail("likelihoods: cancelled");
  if (!pictures.empty()) total.image_ms += watch.Milliseconds();
  watch = {};
  std::vector<PictureRows> rows;
  for (const PictureCache::Pointer& picture : all) rows.push_back({picture->tokens, picture->pixels});

  const size_t vocab = static_cast<size_t>(runtime_->model().llm.vocab);
  const size_t pieces = static_cast<size_t>(tokenizer.size());
  for (size_t i = 0; i < answers.size(); ++i) {
    AnswerLikelihood& likelihood = likelihoods[i];
    std::vector<PromptPosition> positions = LayOut(assembled[i], rows);
    // The last id, and the </s> behind it, need not be read.
    while (!positions.empty() && positions.back().key.id != likelihood.ids.back()) positions.pop_back();
    const size_t before = positions.size() - likelihood.ids.size();
    if (first_id_only) likelihood.ids.resize(1);

    const Mat<float> logits = logits_.ReserveMat(kPrefillChunk, vocab);
    Stats reading;
    if (!ReadPrompt(std::span(positions).first(before), cancel, logits.Rows(0, 1), reading)) {
      return Fail("likelihoods: cancelled");
    }
    total.prompt_positions += static_cast<int>(before + likelihood.ids.size() - 1);
    total.reused_positions += reading.reused_positions;
    likelihood.log_probs.push_back(LogProbability({logits.row(0), pieces}, likelihood.ids[0]));
    for (size_t known = 1; known < likelihood.ids.size();) {
      const size_t count = std::min(kPrefillChunk, likelihood.ids.size() - known);
      state_.Read(std::span(positions).subspan(before + known - 1, count), logits.Rows(0, count));
      for (size_t row = 0; row < count; ++row, ++known) {
        likelihood.log_probs.push_back(LogProbability({logits.row(row), pieces}, likelihood.ids[known]));
      }
    }
  }
  total.prompt_ms += watch.Milliseconds();
  return likelihoods;
}

}  // namespace mobilevlm::engine
