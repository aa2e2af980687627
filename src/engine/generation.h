// Generation: from the logits behind a prompt to the end of the answer, one id or, with speculation, several
// ids per step.
//
// Speculation changes no answer. A step reads the last id and some drafted ones in one batch; the logits of
// each row are, to the bit, those of reading one by one (a rule of kernels and ops), and each is sampled with
// exactly the ids before it, repetition penalty included. The drafts that agree are kept, the rest forgotten.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/decoder_state.h"
#include "engine/draft_policy.h"
#include "engine/runtime.h"
#include "mobilevlm/mobilevlm.h"
#include "tensor/mat.h"

namespace mobilevlm::engine {

using OnText = std::function<void(std::string_view)>;

// An Error names the option that is out of range.
Status CheckGenerateOptions(const GenerateOptions& options);

inline bool IsSet(const std::atomic<bool>* flag) {
  return flag != nullptr && flag->load(std::memory_order_relaxed);
}

// The rows of logits a generation may ask for at once.
size_t LogitRows(const GenerateOptions& options);

// Appends to `answer` what follows the prompt that `state` has read. `text` are the prompt's ids in order,
// with a negative number in place of each picture: the repetition penalty applies to them and drafts come
// from them. logits: [LogitRows, vocab], row 0 as the prompt's last position left it. `options` passed the
// check.
Status Generate(Runtime& runtime, DecoderState& state, std::vector<int> text, const GenerateOptions& options,
                Mat<float> logits, DraftPolicy& policy, const OnText& on_text, Answer& answer);

}  // namespace mobilevlm::engine
