// mobilevlm tokenize: text to token ids, for comparing this tokenizer to others.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "commands.h"
#include "load_tokenizer.h"

namespace mobilevlm::app {
namespace {

struct TokenizeFlags {
  std::string model;
  std::string text;
  bool json = false;
};

Status RunTokenize(const TokenizeFlags& flags) {
  MVLM_ASSIGN(const Tokenizer tokenizer, LoadAnyTokenizer(flags.model));
  const std::vector<int> ids = tokenizer.Encode(flags.text);
  if (flags.json) {
    fmt::print("{}\n", nlohmann::json{{"ids", ids}}.dump());
    return {};
  }
  for (const int id : ids) fmt::print("{}\t{}\n", id, tokenizer.vocab().pieces[static_cast<size_t>(id)]);
  return {};
}

}  // namespace

void AddTokenizeCommand(CLI::App& app, Status& status) {
  CLI::App* command = app.add_subcommand(
      "tokenize",
      "Show the token ids of a text\n\n"
      "Examples:\n"
      "  mobilevlm tokenize -m text.gguf 'What is in the image?'\n"
      "  mobilevlm tokenize -m tokenizer.model --json -- '-5 degrees'\n\n"
      "Without BOS. The text is taken as it is: no escapes, and \"</s>\" is ordinary text.");
  const auto flags = std::make_shared<TokenizeFlags>();
  command->add_option("-m,--model", flags->model, "A GGUF text model or vocabulary, or a tokenizer.model")
      ->required();
  command->add_flag("--json", flags->json, "Print {\"ids\": [...]}");
  command->add_option("STRING", flags->text, "The text")->required();
  command->callback([flags, &status] { status = RunTokenize(*flags); });
}

}  // namespace mobilevlm::app
