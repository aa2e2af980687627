// Arbitrary bytes through the splitter and the parser of annotation files.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "data/question_kind.h"
#include "data/record_splitter.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mobilevlm::data;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  RecordSplitter splitter(bytes);
  SampleParser parser;
  for (;;) {
    const auto range = splitter.Next();
    if (!range) {
      if (range.error().byte > size || range.error().message.empty()) __builtin_trap();
      return 0;
    }
    if (!*range) return 0;
    if ((*range)->offset + (*range)->size > size) __builtin_trap();
    const std::string_view record = bytes.substr((*range)->offset, (*range)->size);
    const auto sample = parser.Parse(record);
    if (!sample) continue;
    (void)QuestionKind(*sample);
    // A usable sample has an answer to every question and a place for every picture.
    size_t pictures = 0;
    for (const auto& turn : sample->turns) pictures += static_cast<size_t>(turn.images);
    if (sample->defect == Defect::kNone) {
      if (sample->turns.empty() || pictures != sample->images.size()) __builtin_trap();
      for (const auto& turn : sample->turns) {
        if (turn.assistant.empty()) __builtin_trap();
      }
    }
    // What is rewritten reads as the same sample.
    const auto again = parser.Rewrite(record, nullptr);
    if (!again) __builtin_trap();
    const auto same = parser.Parse(*again);
    if (!same || same->defect != sample->defect || same->words != sample->words ||
        same->images != sample->images) {
      __builtin_trap();
    }
  }
}
