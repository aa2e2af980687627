#include "eval/ask.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace mobilevlm::eval {
namespace {

using Pictures = std::vector<Picture>;

// The probability of yes where only yes and no are possible: the first ids of their spellings, each counted
// once. A spelling that both begin with says nothing and is left out.
Result<double> AskYesProbability(Session& session, const Pictures& pictures, const std::string& prompt,
                                 const std::atomic<bool>* cancel, Stats& stats) {
  const std::vector<std::string> spellings = {"Yes", "yes", "YES", "No", "no", "NO"};
  MVLM_ASSIGN(const std::vector<AnswerLikelihood> found,
              session.Likelihoods(pictures, prompt, spellings, /*first_id_only=*/true, cancel, &stats));
  std::map<int, double> yes, no;
  for (size_t i = 0; i < found.size(); ++i) {
    (i < 3 ? yes : no)[found[i].ids[0]] = std::exp(double{found[i].log_probs[0]});
  }
  const auto sum = [](const std::map<int, double>& own, const std::map<int, double>& other) {
    double total = 0;
    for (const auto& [id, p] : own) total += other.contains(id) ? 0 : p;
    return total;
  };
  const double p_yes = sum(yes, no), p_no = sum(no, yes);
  return p_yes + p_no > 0 ? p_yes / (p_yes + p_no) : 0.5;
}

Status AskCaption(Session& session, const Pictures& pictures, const Question& question,
                  const std::atomic<bool>* cancel, Asked& asked) {
  MVLM_ASSIGN(const auto with, session.Likelihoods(pictures, question.prompt, {question.caption}, false,
                                                   cancel, &asked.stats));
  MVLM_ASSIGN(const auto without,
              session.Likelihoods({}, question.prompt, {question.caption}, false, cancel, &asked.stats));
  asked.answer.scores = {{"log_likelihood", with[0].mean()}, {"text_only", without[0].mean()}};
  return {};
}

bool IsCancelled(const std::atomic<bool>* cancel) { return cancel != nullptr && cancel->load(); }

}  // namespace

Result<std::optional<Asked>> AskQuestion(Session& session, const Benchmark& benchmark,
                                         const Question& question, const std::optional<Picture>& picture,
                                         const AskOptions& options) {
  const Pictures pictures = picture ? Pictures{*picture} : Pictures{};
  Asked asked;
  session.Reset();
  const auto measure = [&]() -> Status {
    if (benchmark.mode == AskMode::kCaptionLikelihood) {
      return AskCaption(session, pictures, question, options.cancel, asked);
    }
    GenerateOptions generate;
    generate.max_tokens = benchmark.max_tokens;
    generate.cancel = options.cancel;
    MVLM_ASSIGN(const Answer answer, session.Ask(pictures, question.prompt, generate));
    asked.answer.text = answer.text;
    asked.stats = answer.stats;
    session.Reset();
    if (benchmark.mode == AskMode::kYesProbability) {
      MVLM_ASSIGN(const double p,
                  AskYesProbability(session, pictures, question.prompt, options.cancel, asked.stats));
      asked.answer.scores.emplace_back("p_yes", p);
    }
    if (options.confidence && !answer.text.empty() && answer.stop != StopReason::kCancelled) {
      MVLM_ASSIGN(const auto likelihood, session.Likelihoods(pictures, question.prompt, {answer.text}, false,
                                                             options.cancel, &asked.stats));
      asked.answer.scores.emplace_back("confidence", std::exp(likelihood[0].total()));
    }
    return {};
  };
  const Status status = measure();
  if (IsCancelled(options.cancel)) return std::nullopt;
  if (!status) return tl::unexpected<Error>(status.error());
  return asked;
}

}  // namespace mobilevlm::eval
