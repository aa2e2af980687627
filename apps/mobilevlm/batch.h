// run --batch: one question, or one each, about many pictures.
#pragma once

#include <string>

#include "base/result.h"
#include "commands.h"

namespace mobilevlm::app {

struct BatchFlags {
  std::string input;   // JSON lines or a directory (batch_input.h)
  std::string output;  // JSON lines, appended (answer_log.h)
  std::string prompt;  // for items without their own
  bool json = false;   // the summary as JSON on standard output instead of a line on standard error
};

// Asks what `output` does not answer yet. An item that fails (a missing or broken picture, a prompt that does
// not fit) gets a row with "error" instead of "answer", counts as done, and makes the batch end with an Error
// when all else is answered; to ask it again, delete its row. Ctrl-C ends the batch between two answers.
// Items that agree in picture, question and id are asked once.
Status RunBatch(const BatchFlags& batch, LoadOptions load, const PromptFlags& prompt,
                const GenerateOptions& generate);

}  // namespace mobilevlm::app
