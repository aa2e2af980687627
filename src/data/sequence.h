// A sample as the ids that training sees: prompt, places of the pictures, labels.
//
// The labels are those of preprocess_v1 and preprocess_plain (train.py), see prompt/assemble.h: answers and
// the </s> behind each; with the plain template the caption and its newline. Ids are cut to `max_tokens`
// before the pictures' places open, as the official code does, so a sequence may be longer than that by
// pictures * (visual - 1).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/sample.h"
#include "prompt/assemble.h"

namespace mobilevlm::data {

struct SequenceOptions {
  ChatTemplate chat_template = ChatTemplate::kV1;
  std::string system = {};  // empty: the template's own
  int visual = 144;         // places a picture takes
  int max_tokens = 2048;    // 0: no limit
};

struct Sequence {
  std::vector<int> ids = {};             // id 0 at the pictures' places
  std::vector<uint8_t> supervised = {};  // one flag an id: 1, the loss counts it
  std::vector<int> image_starts = {};    // where each picture's `visual` places begin
  int supervised_ids = 0;
  int cut = 0;  // ids (a picture is one) behind max_tokens
};

// An Error names what is wrong, not the sample: a defect, a conversation that the template cannot hold
// (several turns with plain), or no supervised id at all (the whole answer behind max_tokens), which the
// official code would train as a silent zero. A picture whose place is cut off is left out of image_starts;
// pictures are cut from the end, so the first image_starts.size() remain.
Result<Sequence> MakeSequence(const Tokenizer& tokenizer, const Sample& sample,
                              const SequenceOptions& options);

}  // namespace mobilevlm::data
