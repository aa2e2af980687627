#include "engine/answer_writer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "engine/draft_policy.h"
#include "engine/prompt_lookup.h"
#include "sample/json_grammar.h"

namespace mobilevlm::engine {
namespace {

constexpr std::string_view kSpace = " \t\n\r\f\v";

SamplerOptions SamplerOptionsOf(const GenerateOptions& options) {
  return {.temperature = options.temperature,
          .top_k = options.top_k,
          .top_p = options.top_p,
          .min_p = options.min_p,
          .repetition_penalty = options.repetition_penalty,
          .seed = options.seed};
}

// log of the sum of exp over all logits, NaN left out.
double LogSumExp(std::span<const float> logits) {
  float top = -std::numeric_limits<float>::infinity();
  for (const float value : logits) top = value > top ? value : top;
  if (std::isinf(top)) return top;
  double sum = 0;
  for (const float value : logits) {
    if (!std::isnan(value)) sum += std::exp(static_cast<double>(value) - static_cast<double>(top));
  }
  return static_cast<double>(top) + std::log(sum);
}

}  // namespace

Status CheckGenerateOptions(const GenerateOptions& options) {
  if (options.max_tokens < 1) return Fail("max tokens must be at least 1, found {}", options.max_tokens);
  if (options.speculate < GenerateOptions::kSpeculateAuto ||
      options.speculate > static_cast<int>(kMostDrafted)) {
    return Fail("speculate must be auto (-1), off (0) or 1..{}, found {}", kMostDrafted, options.speculate);
  }
  if (options.logprobs < GenerateOptions::kNoLogprobs || options.logprobs > GenerateOptions::kMostLogprobs) {
    return Fail("logprobs must be in 0..{}, found {}", GenerateOptions::kMostLogprobs, options.logprobs);
  }
  return CheckSamplerOptions(SamplerOptionsOf(options));
}

Result<std::shared_ptr<const Grammar>> GrammarOf(const GenerateOptions& options) {
  if (options.json_schema.empty()) return nullptr;
  MVLM_ASSIGN(Grammar grammar, CompileJsonSchema(options.json_schema));
  return std::make_shared<const Grammar>(std::move(grammar));
}

AnswerWriter::AnswerWriter(Runtime& runtime, const GenerateOptions& options,
                           std::shared_ptr<const Grammar> grammar, std::vector<int> text, OnPiece on_piece,
                           Answer& answer)
    : tokenizer_(runtime.model().tokenizer),
      options_(options),
      sampler_(SamplerOptionsOf(options)),
      text_(std::move(text)),
      decoder_(tokenizer_),
      stop_(options.stop),
      on_piece_(std::move(on_piece)),
      answer_(answer) {
  if (grammar != nullptr) constraint_.emplace(std::move(grammar), runtime.token_trie());
}

Result<bool> AnswerWriter::Take(std::span<const float> logits) {
  // Rows of a padded embedding table have no piece and must never win.
  const std::span<const float> choices = logits.first(static_cast<size_t>(tokenizer_.size()));
  MVLM_ASSIGN(const int id, Choose(choices));
  text_.push_back(id);
  if (options_.logprobs >= 0 && id != tokenizer_.eos()) Record(choices, id);
  return Push(id);
}

Result<int> AnswerWriter::Choose(std::span<const float> logits) {
  if (!constraint_) return sampler_.Sample(logits, text_);
  const size_t left = missing() - 1;
  if (options_.temperature == 0 && options_.repetition_penalty == 1) {
    // What a greedy model wants is mostly allowed; the whole vocabulary need not be asked.
    const int id = ArgMax(logits);
    if (id >= 0 && (id == tokenizer_.eos() ? constraint_->complete() : constraint_->Allows(id, left)))
      return id;
  }
  masked_.assign(logits.begin(), logits.end());
  constraint_->Mask(left, masked_);
  const size_t eos = static_cast<size_t>(tokenizer_.eos());
  if (constraint_->complete()) masked_[eos] = logits[eos];
  Result<int> id = sampler_.Sample(masked_, text_);
  if (!id) return Context(id.error(), "no token continues the JSON text");
  return id;
}

// True if more ids follow.
bool AnswerWriter::Push(int id) {
  ++answer_.stats.generated;
  answer_.stats.generate_ms = watch_.Milliseconds();
  answer_.stop = StopReason::kEos;
  if (id == tokenizer_.eos()) return false;
  answer_.ids.push_back(id);
  Show(stop_.Push(decoder_.Push(id)));
  if (constraint_) constraint_->Accept(id);
  // What is cut off by a stop string is not whole, even if the text ended with it.
  if (stop_.matched()) {
    answer_.stop = StopReason::kStopString;
    return false;
  }
  if (constraint_ && constraint_->finished()) return false;
  answer_.stop = constraint_ && constraint_->complete() ? StopReason::kEos : StopReason::kMaxTokens;
  return missing() > 0;
}

void AnswerWriter::Record(std::span<const float> logits, int id) {
  const double total = LogSumExp(logits);
  const auto choice = [&](int i) {
    const double logit = static_cast<double>(logits[static_cast<size_t>(i)]);
    return TokenChoice{i, tokenizer_.PieceText(i), static_cast<float>(logit - total)};
  };
  Token token{choice(id), {}};
  const size_t most = std::min(static_cast<size_t>(options_.logprobs), logits.size());
  std::vector<int> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto key = [&](int i) {
    const float logit = logits[static_cast<size_t>(i)];
    return std::isnan(logit) ? -HUGE_VALF : logit;
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(most), order.end(),
                    [&](int a, int b) { return key(a) != key(b) ? key(a) > key(b) : a < b; });
  for (size_t i = 0; i < most; ++i) token.top.push_back(choice(order[i]));
  answer_.tokens.push_back(std::move(token));
}

void AnswerWriter::Finish() {
  Show(stop_.Push(decoder_.Finish()));
  if (stop_.matched() && answer_.stop == StopReason::kEos) answer_.stop = StopReason::kStopString;
  Show(stop_.Flush());
}

// White space at both ends of the answer is not shown.
void AnswerWriter::Show(const std::string& text) {
  std::string shown = std::move(space_) + text;
  space_.clear();
  if (answer_.text.empty()) shown.erase(0, std::min(shown.find_first_not_of(kSpace), shown.size()));
  const size_t end = shown.find_last_not_of(kSpace);
  const size_t keep = end == std::string::npos ? 0 : end + 1;
  space_ = shown.substr(keep);
  shown.resize(keep);
  answer_.text += shown;
  const std::span<const Token> tokens = std::span<const Token>(answer_.tokens).subspan(reported_);
  reported_ = answer_.tokens.size();
  if (on_piece_ && (!shown.empty() || !tokens.empty())) on_piece_(shown, tokens);
}

}  // namespace mobilevlm::engine
