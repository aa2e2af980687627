#include "quality/leaks.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>

#include "base/check.h"
#include "quality/hamming_index.h"
#include "quality/text_hash.h"

namespace mobilevlm::quality {
namespace {

constexpr size_t kShown = 50;

uint64_t Combine(uint64_t picture, uint64_t question) { return picture * 0x9E3779B97F4A7C15ull ^ question; }

struct Question {
  uint64_t hash = 0;
  bool is_long = false;
};

// What is compared of one sample.
struct Asked {
  std::vector<std::string> paths;
  std::vector<Question> questions;
};

Asked ReadAsked(const data::Dataset& dataset, uint32_t s, const data::Sample& sample,
                const LeakOptions& options) {
  Asked asked;
  for (const std::string& image : sample.images) asked.paths.push_back(dataset.PicturePath(s, image));
  for (const Turn& turn : sample.turns) {
    const std::string normalised = NormaliseText(turn.user);
    const auto words = static_cast<uint32_t>(std::count(normalised.begin(), normalised.end(), ' ') + 1);
    asked.questions.push_back({HashText(normalised), words >= options.question_words});
  }
  return asked;
}

// What a training sample is, and what of the evaluation it meets.
struct Met {
  Leak leak = Leak::kNone;
  uint32_t sample = 0;
  std::vector<uint64_t> pictures;  // their keys
};

uint64_t KeyOfName(const std::string& path) {
  return HashText(std::filesystem::path(path).filename().string());
}

// The pictures and questions of the evaluation.
class Evaluation {
 public:
  Evaluation(const PictureCatalog& catalog, const LeakOptions& options)
      : catalog_(catalog), options_(options), near_(options.picture_distance) {}

  void Add(uint32_t s, const Asked& asked) {
    for (const std::string& path : asked.paths) {
      const uint32_t picture = catalog_.Find(path);
      uint64_t key = KeyOfName(path);
      if (options_.pictures) {
        if (picture == FlatTable::kNone) continue;
        const PictureHash& hash = catalog_.hash(picture);
        key = hash.key();
        if (!pictures_.Has(key) && hash.flat == 0) {
          near_.Add(hash.frequency);
          near_pictures_.push_back(picture);
        }
      }
      pictures_.At(key, s);
      shown_.emplace_back(s, key);
      for (const Question& question : asked.questions) asked_.At(Combine(key, question.hash), s);
    }
    for (const Question& question : asked.questions) {
      if (question.is_long) questions_.At(question.hash, s);
    }
  }

  // The worst that a training sample is.
  Met Compare(const Asked& asked) const {
    Met met;
    const auto consider = [&](Leak leak, uint32_t evaluation) {
      if (leak <= met.leak) return;
      met.leak = leak;
      met.sample = evaluation;
    };
    for (const Question& question : asked.questions) {
      if (question.is_long && questions_.Has(question.hash))
        consider(Leak::kText, questions_.Find(question.hash));
    }
    for (const std::string& path : asked.paths) {
      uint64_t key = KeyOfName(path);
      bool same = pictures_.Has(key);
      if (options_.pictures) {
        const uint32_t picture = catalog_.Find(path);
        if (picture == FlatTable::kNone) continue;
        const PictureHash& hash = catalog_.hash(picture);
        key = hash.key();
        same = pictures_.Has(key);
        if (!same && !FindNear(hash, key)) continue;
      }
      if (!pictures_.Has(key)) continue;
      met.pictures.push_back(key);
      consider(same ? Leak::kPicture : Leak::kNearPicture, pictures_.Find(key));
      for (const Question& question : asked.questions) {
        const uint64_t together = Combine(key, question.hash);
        if (asked_.Has(together)) consider(Leak::kPictureAndQuestion, asked_.Find(together));
      }
    }
    return met;
  }

  // Samples that show one of these pictures.
  uint64_t CountShowing(const FlatTable& pictures) const {
    uint64_t count = 0;
    int64_t last = -1;
    for (const auto& [s, key] : shown_) {
      if (s == last || !pictures.Has(key)) continue;
      last = s;
      ++count;
    }
    return count;
  }

 private:
  // The key of the first picture that looks like this one.
  bool FindNear(const PictureHash& hash, uint64_t& key) const {
    if (hash.flat != 0) return false;
    uint32_t nearest = FlatTable::kNone;
    near_.ForEachNear(hash.frequency, [&](uint32_t i) {
      const uint32_t picture = near_pictures_[i];
      if (picture < nearest && LookTheSame(hash, catalog_.hash(picture), options_.picture_distance))
        nearest = picture;
    });
    if (nearest == FlatTable::kNone) return false;
    key = catalog_.hash(nearest).key();
    return true;
  }

  const PictureCatalog& catalog_;
  const LeakOptions& options_;
  FlatTable pictures_, asked_, questions_;            // -> first sample of the evaluation
  std::vector<std::pair<uint32_t, uint64_t>> shown_;  // samples, ascending, each with its pictures
  HammingIndex near_;
  std::vector<uint32_t> near_pictures_;  // number in near_ -> picture
};

}  // namespace

std::string_view LeakName(Leak leak) {
  constexpr std::array<std::string_view, static_cast<size_t>(Leak::kCount)> kNames = {
      "none", "same long question", "picture that looks the same", "same picture",
      "same picture and question"};
  MVLM_CHECK(leak < Leak::kCount, "leak {}", static_cast<int>(leak));
  return kNames[static_cast<size_t>(leak)];
}

Result<LeakReport> FindLeaks(const data::Dataset& training, const data::Dataset& evaluation,
                             const LeakOptions& options, const Work& work) {
  LeakReport report;
  PictureCatalog catalog;
  if (options.pictures) {
    const CatalogReport& pictures = report.evaluation_pictures;
    MVLM_TRY(catalog.Fill(evaluation, work, report.evaluation_pictures));
    if (pictures.pictures == 0 && !pictures.bad.empty()) {
      return Fail("{}; no picture of the evaluation can be read: is the directory of its pictures right?",
                  pictures.bad.front().reason);
    }
    MVLM_TRY(catalog.Fill(training, work, report.training_pictures));
  }
  Evaluation known(catalog, options);
  const auto read = [&](uint32_t s, const data::Sample& sample, size_t) {
    return ReadAsked(evaluation, s, sample, options);
  };
  MVLM_TRY(ScanSamples<Asked>(evaluation, work, "reading the evaluation", read,
                              [&](uint32_t s, const Asked& asked) {
                                known.Add(s, asked);
                                return Status();
                              }));
  report.evaluation_samples = evaluation.size();
  report.leaks.resize(training.size());
  report.evaluation.resize(training.size());
  FlatTable hit;
  const auto compare = [&](uint32_t s, const data::Sample& sample, size_t) {
    return known.Compare(ReadAsked(training, s, sample, options));
  };
  MVLM_TRY(ScanSamples<Met>(training, work, "comparing samples", compare, [&](uint32_t s, const Met& met) {
    report.leaks[s] = met.leak;
    report.evaluation[s] = met.sample;
    ++report.counts[static_cast<size_t>(met.leak)];
    for (const uint64_t picture : met.pictures) hit.At(picture, 0);
    return Status();
  }));
  report.evaluation_hit = known.CountShowing(hit);
  for (auto leak = static_cast<int>(Leak::kCount) - 1; leak > 0; --leak) {
    for (uint32_t s = 0; s < training.size() && report.shown.size() < kShown; ++s) {
      if (static_cast<int>(report.leaks[s]) == leak) report.shown.push_back(s);
    }
  }
  return report;
}

}  // namespace mobilevlm::quality
