#include "data/sequence.h"

#include <numeric>

namespace mobilevlm::data {

Result<Sequence> MakeSequence(const Tokenizer& tokenizer, const Sample& sample,
                              const SequenceOptions& options) {
  if (sample.defect != Defect::kNone) return Fail("{}: {}", DefectName(sample.defect), sample.detail);
  MVLM_ASSIGN(const Prompt prompt,
              AssemblePrompt(tokenizer, options.chat_template, options.system, sample.turns));
  Sequence sequence;
  int left = options.max_tokens > 0 ? options.max_tokens : -1;  // -1: endless
  for (const PromptSegment& segment : prompt.segments) {
    const size_t wanted = segment.is_image ? 1 : segment.ids.size();
    const size_t taken = left < 0 ? wanted : std::min(wanted, static_cast<size_t>(left));
    sequence.cut += static_cast<int>(wanted - taken);
    if (left >= 0) left -= static_cast<int>(taken);
    if (taken == 0) continue;
    if (segment.is_image) {
      sequence.image_starts.push_back(static_cast<int>(sequence.ids.size()));
      sequence.ids.resize(sequence.ids.size() + static_cast<size_t>(options.visual), 0);
      sequence.supervised.resize(sequence.ids.size(), 0);
      continue;
    }
    const auto count = static_cast<ptrdiff_t>(taken);
    sequence.ids.insert(sequence.ids.end(), segment.ids.begin(), segment.ids.begin() + count);
    sequence.supervised.insert(sequence.supervised.end(), segment.supervised.begin(),
                               segment.supervised.begin() + count);
  }
  sequence.supervised_ids = std::accumulate(sequence.supervised.begin(), sequence.supervised.end(), 0);
  if (sequence.supervised_ids == 0) {
    return Fail("no label is left: the answer begins behind the first {} ids ({} were cut off)",
                options.max_tokens, sequence.cut);
  }
  return sequence;
}

}  // namespace mobilevlm::data
