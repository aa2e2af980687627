#include <map>

#include "base/units.h"
#include "commands.h"

namespace mobilevlm::app {
namespace {

// A flag whose value is one of a few words.
template <class T>
void AddChoice(CLI::App& command, const std::string& flag, T& value, std::map<std::string, T> choices,
               const std::string& words, const std::string& description) {
  const auto parse = [&value, flag, words, choices = std::move(choices)](const std::string& text) {
    const auto found = choices.find(text);
    if (found == choices.end()) throw CLI::ValidationError(flag, "wanted " + words + ", found " + text);
    value = found->second;
  };
  command.add_option_function<std::string>(flag, parse, description)->option_text(words);
}

void AddSpeculateFlag(CLI::App& command, GenerateOptions& generate) {
  const auto parse = [&generate](const std::string& text) {
    if (text == "auto") {
      generate.speculate = GenerateOptions::kSpeculateAuto;
    } else if (text == "off") {
      generate.speculate = 0;
    } else if (!CLI::detail::lexical_cast(text, generate.speculate) || generate.speculate < 0) {
      throw CLI::ValidationError("--speculate", "wanted auto, off or a number of tokens, found " + text);
    }
  };
  command
      .add_option_function<std::string>("--speculate", parse,
                                        "Tokens tried ahead with --temp 0; never changes the answer "
                                        "(default auto: as many as pay)")
      ->option_text("auto|off|N");
}

}  // namespace

void AddModelFlags(CLI::App& command, LoadOptions& load) {
  command.add_option("-m,--model", load.text, "Text model, GGUF (without it: the bundled mini model)");
  command.add_option("--mmproj", load.mmproj, "Vision tower and projector, GGUF");
  command.add_option("--threads", load.threads, "Threads (0: one per CPU)")
      ->check(WholeNumber(0, 1024))
      ->capture_default_str();
  command.add_option("--ctx", load.context, "Positions of context (0: as the model was trained)")
      ->check(WholeNumber(0))
      ->capture_default_str();
  AddChoice<KvType>(command, "--kv", load.kv,
                    {{KvTypeName(KvType::kF32), KvType::kF32},
                     {KvTypeName(KvType::kF16), KvType::kF16},
                     {KvTypeName(KvType::kQ8_0), KvType::kQ8_0}},
                    "f32|f16|q8_0", "Type of the key-value cache (default f16)");
}

void AddGenerateFlags(CLI::App& command, GenerateOptions& generate) {
  command.add_option("-n,--max-tokens", generate.max_tokens, "At most so many tokens")
      ->check(WholeNumber(1))
      ->capture_default_str();
  command.add_option("--temp", generate.temperature, "Temperature (0: greedy)")->capture_default_str();
  command.add_option("--top-k", generate.top_k, "Keep the k likeliest (0: off)")
      ->check(WholeNumber(0))
      ->capture_default_str();
  command.add_option("--top-p", generate.top_p, "Keep the likeliest up to this probability")
      ->capture_default_str();
  command.add_option("--min-p", generate.min_p, "Drop what is below this share of the likeliest")
      ->capture_default_str();
  command.add_option("--repeat-penalty", generate.repetition_penalty, "Above 1: repeat less")
      ->capture_default_str();
  command.add_option("--seed", generate.seed, "Seed of the sampler")
      ->check(WholeNumber(0, kLargestU64))
      ->capture_default_str();
  command.add_option("--stop", generate.stop, "End the answer at this text (may be repeated)")
      ->expected(1)
      ->take_all();
  AddSpeculateFlag(command, generate);
}

void AddImageModeFlag(CLI::App& command, ImageFit& fit) {
  AddChoice<ImageFit>(command, "--image-mode", fit, {{"pad", ImageFit::kPad}, {"crop", ImageFit::kCrop}},
                      "pad|crop", "How the picture becomes a square (default pad, as released models see)");
}

void AddPromptFlags(CLI::App& command, PromptFlags& prompt) {
  AddChoice<PromptTemplate>(
      command, "--template", prompt.session.chat_template,
      {{"v1", PromptTemplate::kV1}, {"plain", PromptTemplate::kPlain}}, "v1|plain",
      "Prompt template (default v1); plain is the picture alone, the question is dropped");
  command.add_option("--system", prompt.session.system, "System text (default: the template's own)");
  AddImageModeFlag(command, prompt.fit);
}

std::string TimingLine(const ModelInfo& model, const Stats& stats) {
  std::string line =
      fmt::format("load {:.2f} s, {}", model.load_ms / 1000, FormatBytes(model.memory.total()));
  if (stats.images > 0) line += fmt::format(" | image {:.2f} s", stats.image_ms / 1000);
  line += fmt::format(" | prompt {} in {:.2f} s", stats.prompt_positions - stats.reused_positions,
                      stats.prompt_ms / 1000);
  line += fmt::format(" | {} token{}", stats.generated, stats.generated == 1 ? "" : "s");
  if (stats.tokens_per_second() > 0) line += fmt::format(", {:.1f} tokens/s", stats.tokens_per_second());
  if (stats.drafted > 0) line += fmt::format(" ({} of {} guessed)", stats.accepted, stats.generated);
  return line;
}

}  // namespace mobilevlm::app
