#include "engine/layout.h"

namespace mobilevlm::engine {

size_t CountPositions(const LoadedModel& model, const Prompt& prompt) {
  return static_cast<size_t>(prompt.text_tokens()) +
         static_cast<size_t>(prompt.images()) * static_cast<size_t>(model.projector.tokens());
}

Result<Prompt> AssembleFitting(const LoadedModel& model, PromptTemplate chat_template,
                               std::string_view system, const std::vector<Turn>& turns) {
  const ChatTemplate parts = chat_template == PromptTemplate::kV1 ? ChatTemplate::kV1 : ChatTemplate::kPlain;
  MVLM_ASSIGN(Prompt prompt, AssemblePrompt(model.tokenizer, parts, system, turns));
  if (const size_t positions = CountPositions(model, prompt); positions > model.context) {
    return Fail("the prompt takes {} positions ({} of text, {} picture(s) of {}), but the context holds {}",
                positions, prompt.text_tokens(), prompt.images(), model.projector.tokens(), model.context);
  }
  return prompt;
}

std::vector<PromptPosition> LayOut(const Prompt& prompt, std::span<const PictureRows> pictures) {
  std::vector<PromptPosition> positions;
  size_t next_picture = 0;
  for (const PromptSegment& segment : prompt.segments) {
    for (const int id : segment.ids) positions.push_back(PromptPosition::Text(id));
    if (!segment.is_image) continue;
    const PictureRows& picture = pictures[next_picture++];
    for (size_t row = 0; row < picture.tokens.rows(); ++row) {
      positions.push_back({{.embedding = picture.tokens.row(row)},
                           {.id = -1 - static_cast<int32_t>(row), .picture = picture.identity}});
    }
  }
  MVLM_CHECK(next_picture == pictures.size(), "{} of {} pictures placed", next_picture, pictures.size());
  return positions;
}

std::vector<int> TextOf(const Prompt& prompt) {
  std::vector<int> text;
  for (const PromptSegment& segment : prompt.segments) {
    text.insert(text.end(), segment.ids.begin(), segment.ids.end());
    if (segment.is_image) text.push_back(-1);
  }
  return text;
}

}  // namespace mobilevlm::engine
