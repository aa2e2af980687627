// One training sample as an annotation file holds it: LLaVA's JSON object, checked.
//
//   {"id": "a1", "image": "coco/train2017/0001.jpg", "kind": "name", "conversations": [
//      {"from": "human", "value": "<image>\nWhich animal is this?"}, {"from": "gpt", "value": "Otter"}]}
//
// "image" may be one path, a list of paths ("images" is read too), or be missing: a text-only sample. "id"
// (string or number) and "kind" are optional; other fields are ignored. An object without "conversations" but
// with "text" is a question of an evaluation file (LLaVA's {"question_id", "image", "text"}): a conversation
// that lacks its answer.
//
// Turns follow the official preprocess_multimodal and preprocess_v1 (train.py): a conversation that does not
// begin with "human" loses its first turn; the one "<image>" of a turn moves to its front. Beyond it: several
// pictures take their marks in order over all turns, and a sample with pictures but no mark at all gets them
// in front of its first turn (the official code would train it blind).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/conversation.h"

namespace mobilevlm::data {

// Why a sample cannot be trained on. On disk: values of the index.
enum class Defect : uint8_t {
  kNone = 0,
  kBadField = 1,            // a field of the wrong type, no "conversations"
  kWrongRoles = 2,          // not human, gpt, human, gpt, ...
  kNoAnswer = 3,            // the last question has none, an empty one
  kMarkWithoutPicture = 4,  // more "<image>" than pictures
  kPictureWithoutMark = 5,  // some pictures have their marks, others not
  kMarkInAnswer = 6,
  kCount = 7,
};
std::string_view DefectName(Defect defect);  // "wrong roles"

// What is unusual but usable; bits.
inline constexpr uint8_t kNoteDroppedFirstTurn = 1;  // it did not begin with "human"
inline constexpr uint8_t kNotePlacedPicture = 2;     // there was no mark at all

struct Sample {
  std::string id = {};                   // empty if there is none
  std::vector<std::string> images = {};  // as written, relative to the image root
  std::vector<Turn> turns = {};          // as AssemblePrompt takes them
  std::string kind = {};                 // empty if there is none
  uint32_t words = 0;  // blank-separated words of all turns, marks too: what the official sampler counts
  uint32_t answer_words = 0;  // of the answers alone
  Defect defect = Defect::kNone;
  std::string detail = {};  // of the defect, for people
  uint8_t notes = 0;
};

// Where JSON is wrong: the byte of the text at which parsing ended (the last one of a wrong word), and why.
struct JsonError {
  size_t byte = 0;
  std::string message;
};

// Parses objects with simdjson. Holds buffers: one per thread.
class SampleParser {
 public:
  // Bytes that must be readable behind `json` if `padded` is true.
  static constexpr size_t kPadding = 64;

  SampleParser();
  ~SampleParser();
  SampleParser(SampleParser&&) noexcept;
  SampleParser& operator=(SampleParser&&) noexcept;

  // `json` is one object. Not JSON at all is the error; anything else wrong is the sample's `defect`. Without
  // `padded` the text is copied first.
  tl::expected<Sample, JsonError> Parse(std::string_view json, bool padded = false);

  // The same object with "image" (or "images"; of several such fields the first, and the others go) replaced;
  // everything else as it was, without blanks. A null `images` changes nothing.
  tl::expected<std::string, JsonError> Rewrite(std::string_view json, const std::vector<std::string>* images);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mobilevlm::data
