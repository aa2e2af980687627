// From turns to the positions the language model reads, the same for sessions and batches.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/decoder_state.h"
#include "engine/model.h"
#include "mobilevlm/mobilevlm.h"
#include "prompt/assemble.h"

namespace mobilevlm::engine {

// A picture's rows in a prompt.
struct PictureRows {
  Mat<const float> tokens;  // [visual tokens, hidden]; may be filled later
  Hash128 identity;         // equal for equal content only
};

// The prompt of `turns`, if it fits into the context.
Result<Prompt> AssembleFitting(const LoadedModel& model, PromptTemplate chat_template,
                               std::string_view system, const std::vector<Turn>& turns);

// Positions of a prompt: text ids, and a row of visual tokens per position of a picture.
size_t CountPositions(const LoadedModel& model, const Prompt& prompt);

// Text ids and visual tokens in the order the language model reads them. pictures: one per image segment.
std::vector<PromptPosition> LayOut(const Prompt& prompt, std::span<const PictureRows> pictures);

// The ids of a prompt, -1 for a picture.
std::vector<int> TextOf(const Prompt& prompt);

}  // namespace mobilevlm::engine
