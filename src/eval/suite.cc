#include "eval/suite.h"

#include "base/progress.h"
#include "base/result.h"
#include "eval/exact_match.h"

namespace mobilevlm::eval {
namespace {

// int(mean * 255) of CLIPImageProcessor, the colour that pictures are padded with.
constexpr uint8_t kBlank[3] = {122, 116, 104};

Picture BlankPicture(int side) {
  std::vector<uint8_t> rgb(static_cast<size_t>(side) * static_cast<size_t>(side) * 3);
  for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = kBlank[i % 3];
  return Picture::FromRgb(side, side, std::move(rgb));
}

Result<std::string> AskOnce(Session& session, const Picture& picture, const std::string& question,
                            const SuiteOptions& options) {
  GenerateOptions generate;
  generate.max_tokens = options.max_tokens;
  generate.cancel = options.cancel;
  session.Reset();
  MVLM_ASSIGN(const Answer answer, session.Ask({picture}, question, generate));
  if (answer.stop == StopReason::kCancelled) return Fail("evaluation interrupted");
  return answer.text;
}

}  // namespace

Result<KindReport> RunSuite(const Model& model, const ItemSource& next, const SuiteOptions& options,
                            const ItemObserver& observer) {
  // Two sessions, so that the blank picture stays in the cache of its own.
  MVLM_ASSIGN(Session looking, model.NewSession());
  MVLM_ASSIGN(Session blindfold, model.NewSession());
  const Picture blank = BlankPicture(model.Describe().image_size);

  KindReport report;
  Progress progress("asking", options.total);
  uint64_t done = 0;
  while (std::optional<SuiteItem> item = next()) {
    KindScore& score = report.At(item->kind, item->chance);
    MVLM_ASSIGN(const std::string prediction, AskOnce(looking, item->picture, item->question, options));
    const bool correct = ExactMatch(prediction, item->answer);
    score.correct += correct;
    ++score.total;
    if (options.ask_blank) {
      MVLM_ASSIGN(const std::string guess, AskOnce(blindfold, blank, item->question, options));
      score.blank_correct += ExactMatch(guess, item->answer);
      ++score.blank_total;
    }
    if (observer) observer(*item, prediction, correct);
    progress.Update(++done);
  }
  return report;
}

}  // namespace mobilevlm::eval
