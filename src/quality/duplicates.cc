#include "quality/duplicates.h"

#include <bit>
#include <optional>

#include "quality/hamming_index.h"
#include "quality/text_hash.h"

namespace mobilevlm::quality {
namespace {

constexpr uint32_t kLongAnswer = 8;  // words
constexpr int kRepeatedAnswer = 3;   // bits of SimilarityHash; among millions, more would meet by chance

// What is compared of one sample.
struct SampleHashes {
  uint64_t questions = 0;          // hash of all questions
  uint64_t answers = 0;            // hash of all answers
  uint64_t similarity = 0;         // of all answers together
  std::vector<uint32_t> pictures;  // numbers in the catalogue, kNone where a picture cannot be read
  uint64_t paths = 0;              // hash of the paths
};

SampleHashes HashSample(const data::Dataset& dataset, uint32_t s, const data::Sample& sample,
                        const PictureCatalog& catalog) {
  std::string questions, answers;
  for (const Turn& turn : sample.turns) {
    questions += NormaliseText(turn.user) + '\n';
    answers += NormaliseText(turn.assistant) + '\n';
  }
  SampleHashes hashes;
  hashes.questions = HashText(questions);
  hashes.answers = HashText(answers);
  for (char& c : answers) c = c == '\n' ? ' ' : c;
  hashes.similarity = SimilarityHash(answers);
  std::string paths;
  for (const std::string& image : sample.images) {
    const std::string path = dataset.PicturePath(s, image);
    hashes.pictures.push_back(catalog.Find(path));
    paths += path + '\n';
  }
  hashes.paths = HashText(paths);
  return hashes;
}

// For every picture that the catalogue found the first one with the same pixels, and the first one that looks
// the same.
class PictureGroups {
 public:
  PictureGroups(const PictureCatalog& catalog, const DuplicateOptions& options)
      : catalog_(catalog),
        options_(options),
        same_(catalog.size(), FlatTable::kNone),
        near_(catalog.size()),
        by_content_(catalog.size()),
        index_(options.picture_distance) {}

  // A batch at a time: in parallel with the pictures of the batches before it, then in order among
  // themselves.
  Status Find(const Work& work, DuplicateReport& report) {
    constexpr uint32_t kBatch = 1024;
    const std::string what = "comparing pictures";
    const auto size = static_cast<uint32_t>(catalog_.size());
    std::optional<Progress> progress;
    if (work.progress) progress.emplace(what, size);
    for (uint32_t begin = 0; begin < size; begin += kBatch) {
      MVLM_TRY(work.Continue(what));
      const uint32_t count = std::min(kBatch, size - begin);
      for (uint32_t p = begin; p < begin + count; ++p) {
        if (!catalog_.found(p)) continue;
        same_[p] = by_content_.At(catalog_.hash(p).key(), p);
        ++report.pictures;
      }
      work.pool.ParallelFor(count, [&](size_t i) { FindEarlier(begin + static_cast<uint32_t>(i)); });
      const size_t earlier = indexed_.size();
      for (uint32_t p = begin; p < begin + count; ++p) Take(p, earlier, report);
      if (progress) progress->Update(begin + count);
    }
    return {};
  }

  uint32_t Same(uint32_t picture) const { return same_[picture]; }
  uint32_t Near(uint32_t picture) const { return near_[picture]; }

 private:
  bool Compared(uint32_t p) const { return same_[p] == p && options_.near && catalog_.hash(p).flat == 0; }

  void FindEarlier(uint32_t p) {
    near_[p] = p;
    if (!Compared(p)) return;
    const PictureHash& hash = catalog_.hash(p);
    index_.ForEachNear(hash.frequency, [&](uint32_t i) {
      const uint32_t other = indexed_[i];
      if (other < near_[p] && LookTheSame(hash, catalog_.hash(other), options_.picture_distance))
        near_[p] = other;
    });
  }

  // Those from `earlier` on in the index are of the picture's own batch.
  void Take(uint32_t p, size_t earlier, DuplicateReport& report) {
    if (!catalog_.found(p)) return;
    if (same_[p] != p) {
      near_[p] = near_[same_[p]];
      ++report.same_pictures;
      return;
    }
    if (!Compared(p)) return;
    const PictureHash& hash = catalog_.hash(p);
    for (size_t i = earlier; i < indexed_.size() && near_[p] == p; ++i) {
      if (LookTheSame(hash, catalog_.hash(indexed_[i]), options_.picture_distance)) near_[p] = indexed_[i];
    }
    if (near_[p] != p) {
      ++report.near_pictures;
      return;
    }
    index_.Add(hash.frequency);
    indexed_.push_back(p);
  }

  const PictureCatalog& catalog_;
  const DuplicateOptions& options_;
  std::vector<uint32_t> same_, near_;  // [pictures]
  FlatTable by_content_;               // pixels -> first picture with them
  HammingIndex index_;                 // of the first of each group
  std::vector<uint32_t> indexed_;      // number in the index -> picture
};

// Compares samples in their order with those that stayed.
class Finder {
 public:
  Finder(const data::Dataset& dataset, const DuplicateOptions& options, DuplicateReport& report)
      : dataset_(dataset),
        options_(options),
        report_(report),
        exact_(dataset.size()),
        asked_(dataset.size()),
        next_(dataset.size(), FlatTable::kNone),
        similarity_(dataset.size()),
        answers_(kRepeatedAnswer) {
    report.verdicts.assign(dataset.size(), Verdict::kKept);
    report.same_as.resize(dataset.size());
  }

  void Take(uint32_t s, const SampleHashes& hashes, const PictureGroups& groups) {
    report_.same_as[s] = s;
    similarity_[s] = hashes.similarity;
    uint64_t same = 0, near = 0;
    if (!PictureKeys(hashes, groups, same, near)) {
      ++report_.unread_pictures;
      same = near = hashes.paths;
    }
    const uint64_t exact_key = Combine(Combine(same, hashes.questions), hashes.answers);
    const uint32_t first = exact_.At(exact_key, s);
    if (first != s) {
      Drop(s, first, Verdict::kExact);
      return;
    }
    TakeSameQuestion(s, Combine(near, hashes.questions));
    if (report_.verdicts[s] == Verdict::kKept && dataset_.row(s).answer_words >= kLongAnswer)
      TakeLongAnswer(s);
  }

 private:
  static uint64_t Combine(uint64_t a, uint64_t b) {
    return (a ^ (b + 0x9E3779B97F4A7C15ull + (a << 6) + (a >> 2))) * 0xD1342543DE82EF95ull;
  }

  static bool PictureKeys(const SampleHashes& hashes, const PictureGroups& groups, uint64_t& same,
                          uint64_t& near) {
    for (const uint32_t picture : hashes.pictures) {
      if (picture == FlatTable::kNone) return false;
      same = Combine(same, groups.Same(picture) + 1);
      near = Combine(near, groups.Near(picture) + 1);
    }
    return true;
  }

  void Drop(uint32_t s, uint32_t stays, Verdict verdict) {
    report_.verdicts[s] = verdict;
    report_.same_as[s] = stays;
    ++(verdict == Verdict::kExact ? report_.exact : report_.near);
    if (verdict == Verdict::kNear) Show(report_.near_pairs, stays, s);
  }

  // Among the samples that ask the same about a picture that looks the same.
  void TakeSameQuestion(uint32_t s, uint64_t key) {
    uint32_t& head = asked_.At(key);
    uint32_t first_same = FlatTable::kNone;
    int looked_at = 0;
    for (uint32_t other = head; other != FlatTable::kNone && looked_at < kMostCompared;
         other = next_[other], ++looked_at) {
      const bool close = std::popcount(similarity_[other] ^ similarity_[s]) <= options_.answer_distance;
      if (options_.near && close) {
        Drop(s, other, Verdict::kNear);
        return;
      }
      first_same = other;
    }
    next_[s] = head;
    head = s;
    if (first_same != FlatTable::kNone && dataset_.row(s).pictures > 0) {
      ++report_.conflicts;
      Show(report_.conflict_pairs, first_same, s);
    }
  }

  void TakeLongAnswer(uint32_t s) {
    ++report_.long_answers;
    uint32_t nearest = FlatTable::kNone;
    answers_.ForEachNear(similarity_[s], [&](uint32_t i) { nearest = std::min(nearest, answered_[i]); });
    if (nearest != FlatTable::kNone) {
      ++report_.repeated_answers;
      Show(report_.repeated_pairs, nearest, s);
      return;
    }
    answers_.Add(similarity_[s]);
    answered_.push_back(s);
  }

  static void Show(std::vector<DuplicateReport::Pair>& pairs, uint32_t first, uint32_t second) {
    if (pairs.size() < DuplicateReport::kShown) pairs.push_back({first, second});
  }

  // Text-only samples of one question ("Continue.") may be very many.
  static constexpr int kMostCompared = 256;

  const data::Dataset& dataset_;
  const DuplicateOptions& options_;
  DuplicateReport& report_;
  FlatTable exact_;                   // whole sample -> first with it
  FlatTable asked_;                   // picture and question -> last sample that stayed
  std::vector<uint32_t> next_;        // [samples] the one before it with the same picture and question
  std::vector<uint64_t> similarity_;  // [samples]
  HammingIndex answers_;              // of long answers
  std::vector<uint32_t> answered_;    // number in answers_ -> sample
};

}  // namespace

Result<DuplicateReport> FindDuplicates(const data::Dataset& dataset, const DuplicateOptions& options,
                                       const Work& work) {
  DuplicateReport report;
  PictureCatalog catalog;
  if (options.pictures) {
    CatalogReport pictures;
    MVLM_TRY(catalog.Fill(dataset, work, pictures));
  }
  PictureGroups groups(catalog, options);
  MVLM_TRY(groups.Find(work, report));
  Finder finder(dataset, options, report);
  const auto read = [&](uint32_t s, const data::Sample& sample, size_t) {
    return HashSample(dataset, s, sample, catalog);
  };
  MVLM_TRY(ScanSamples<SampleHashes>(dataset, work, "comparing samples", read,
                                     [&](uint32_t s, const SampleHashes& hashes) {
                                       finder.Take(s, hashes, groups);
                                       return Status();
                                     }));
  return report;
}

}  // namespace mobilevlm::quality
