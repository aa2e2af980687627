// The answers a report shows.
#include <algorithm>

#include "base/base64.h"
#include "engine/picture.h"
#include "eval_task.h"
#include "image/png_write.h"
#include "image/resize_bicubic.h"

namespace mobilevlm::app {
namespace {

constexpr size_t kShown = 12;  // right ones, and wrong ones
constexpr int kLongest = 200;  // pixels of a picture

// A small PNG as a data URI; empty if the picture cannot be read.
std::string Thumbnail(const eval::Question& question) {
  if (!question.image) return "";
  auto picture = question.image->Open();
  if (!picture) return "";
  picture->apply_exif = false;
  auto image = engine::LoadPicture(*picture);
  if (!image) return "";
  const int longest = std::max(image->width, image->height);
  if (longest > kLongest) {
    *image = ResizeBicubic(*image, std::max(1, image->width * kLongest / longest),
                           std::max(1, image->height * kLongest / longest));
  }
  const auto png = EncodePng(*image);
  return png ? "data:image/png;base64," + EncodeBase64(*png) : "";
}

// Up to `most` of them, evenly over the questions.
std::vector<size_t> Spread(const std::vector<size_t>& from, size_t most) {
  if (from.size() <= most) return from;
  std::vector<size_t> chosen;
  for (size_t i = 0; i < most; ++i) chosen.push_back(from[i * from.size() / most]);
  return chosen;
}

}  // namespace

std::vector<eval::GalleryItem> MakeGallery(const eval::Benchmark& benchmark, const eval::Answers& answers,
                                           const eval::ScoreSheet& sheet) {
  std::vector<size_t> right, wrong;
  for (size_t i = 0; i < sheet.judged.size(); ++i) {
    if (sheet.judged[i].answered) (sheet.judged[i].score >= 0.5 ? right : wrong).push_back(i);
  }
  std::vector<size_t> chosen = Spread(wrong, kShown);
  const std::vector<size_t> good = Spread(right, kShown);
  chosen.insert(chosen.end(), good.begin(), good.end());
  std::vector<eval::GalleryItem> items;
  for (const size_t i : chosen) {
    const eval::Question& question = benchmark.questions[i];
    eval::GalleryItem& item = items.emplace_back();
    item.id = question.id;
    item.prompt = question.prompt + (question.caption.empty() ? "" : "\n" + question.caption);
    std::vector<std::string> references = question.references;
    references.erase(std::unique(references.begin(), references.end()), references.end());
    item.references = fmt::format("{}", fmt::join(references, " | "));
    item.answer = answers[i]->text;
    for (const auto& [name, value] : answers[i]->scores) {
      if (name != "index")
        item.answer += fmt::format("{}{} {:.3g}", item.answer.empty() ? "" : ", ", name, value);
    }
    item.reading = sheet.judged[i].reading;
    item.score = sheet.judged[i].score;
    item.picture = Thumbnail(question);
  }
  return items;
}

}  // namespace mobilevlm::app
