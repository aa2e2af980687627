// Generation: from the logits behind a prompt to the end of the answer, one id or, with speculation, several
// ids per step.
//
// Speculation changes no answer. A step reads the last id and some drafted ones in one batch; the logits of
// each row are, to the bit, those of reading one by one (a rule of kernels and ops), and each is sampled with
// exactly the ids before it, repetition penalty included. The drafts that agree are kept, the rest forgotten.
#pragma once

#include "base/result.h"
#include "engine/answer_writer.h"
#include "engine/decoder_state.h"
#include "engine/draft_policy.h"
#include "engine/runtime.h"
#include "mobilevlm/mobilevlm.h"
#include "tensor/mat.h"

namespace mobilevlm::engine {

// The rows of logits a generation may ask for at once.
size_t LogitRows(const GenerateOptions& options);

// Appends to `answer`, through its `writer`, what follows the prompt that `state` has read. logits:
// [LogitRows, vocab], row 0 as the prompt's last position left it.
Status Generate(Runtime& runtime, DecoderState& state, AnswerWriter& writer, const GenerateOptions& options,
                Mat<float> logits, DraftPolicy& policy, Answer& answer);

}  // namespace mobilevlm::engine
