// What a training set shares with an evaluation set, so that its scores mean nothing there.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "quality/picture_catalog.h"

namespace mobilevlm::quality {

// From harmless to worst; a sample counts as the worst that it is.
enum class Leak : uint8_t {
  kNone = 0,
  kText = 1,                // a long question word for word (normalised), under another picture or none
  kNearPicture = 2,         // a picture that looks the same
  kPicture = 3,             // the same pixels (without pictures: the same file name)
  kPictureAndQuestion = 4,  // a picture (the same or nearly) and the question about it
  kCount = 5,
};
std::string_view LeakName(Leak leak);  // "same picture"

struct LeakOptions {
  bool pictures = true;  // compare pixels; without, pictures are known by their files' names
  int picture_distance = kPictureDistance;
  uint32_t question_words = 8;  // a question of fewer words is a phrase that anyone may use
};

struct LeakReport {
  std::vector<Leak> leaks;           // [training samples]
  std::vector<uint32_t> evaluation;  // [training samples] the sample of the evaluation that it meets
  std::array<uint64_t, static_cast<size_t>(Leak::kCount)> counts = {};
  uint64_t evaluation_samples = 0;
  uint64_t evaluation_hit = 0;  // of these, with a picture that at least one training sample shows
  std::vector<uint32_t> shown;  // training samples for looking at, the worst first
  // Pictures that could not be read are not compared. Empty where no pictures are.
  CatalogReport evaluation_pictures, training_pictures;

  uint64_t pictures() const {
    return counts[static_cast<size_t>(Leak::kNearPicture)] + counts[static_cast<size_t>(Leak::kPicture)] +
           counts[static_cast<size_t>(Leak::kPictureAndQuestion)];
  }
};

// An evaluation with pictures of which none can be read is an Error.
Result<LeakReport> FindLeaks(const data::Dataset& training, const data::Dataset& evaluation,
                             const LeakOptions& options, const Work& work);

}  // namespace mobilevlm::quality
