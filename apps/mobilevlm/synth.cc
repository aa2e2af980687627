// mobilevlm synth: models with random weights.
#include "synth/synth.h"

#include <fmt/format.h>

#include <memory>
#include <string>

#include "commands.h"
#include "synth/encode.h"

namespace mobilevlm::app {
namespace {

struct SynthFlags {
  std::string size;
  std::string type = "q4_0";
  std::string vision_type = "q8_0";
  SynthOptions options;
  bool only_text = false;
  bool only_vision = false;
};

Result<DType> ParseType(std::string_view flag, const std::string& name) {
  const Result<DType> type = ParseSynthType(name);
  if (!type) return Context(type.error(), "synth: {}", flag);
  return type;
}

Status RunSynth(const SynthFlags& flags) {
  SynthOptions options = flags.options;
  const Result<ModelSize> size = FindModelSize(flags.size);
  if (!size) return Context(size.error(), "synth: --size");
  options.size = *size;
  MVLM_ASSIGN(options.text_type, ParseType("--type", flags.type));
  MVLM_ASSIGN(options.vision_type, ParseType("--vision-type", flags.vision_type));
  options.text = !flags.only_vision;
  options.vision = !flags.only_text;
  MVLM_TRY(SynthesizeModel(options));
  if (options.text) fmt::print("{}/text.gguf\n", options.out_dir);
  if (options.vision) fmt::print("{}/mmproj.gguf\n", options.out_dir);
  return {};
}

}  // namespace

void AddSynthCommand(CLI::App& app, Status& status) {
  CLI::App* command = app.add_subcommand(
      "synth",
      "Write a model with random weights, to measure or test with\n\n"
      "Examples:\n"
      "  mobilevlm synth --size 1.7b -o random-1.7b\n"
      "  mobilevlm synth --size 3b --type q8_0 --vision-type f16 -o random-3b\n\n"
      "The two files have the layout, the sizes and the speed of a real model; the answers\n"
      "are noise.");
  const auto flags = std::make_shared<SynthFlags>();
  command->add_option("--size", flags->size, "1.7b, 3b, 7b (MobileVLM V2) or mini (the bundled model)")
      ->required();
  command->add_option("--type", flags->type, "Matrices of the text model: f32, f16, bf16, q8_0 or q4_0")
      ->capture_default_str();
  command->add_option("--vision-type", flags->vision_type, "Matrices of the mmproj: the same types")
      ->capture_default_str();
  command->add_option("--seed", flags->options.seed, "The same seed gives the same bytes")
      ->capture_default_str();
  command->add_option("--threads", flags->options.threads, "Threads (0: one per CPU)")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  CLI::Option* text = command->add_flag("--only-text", flags->only_text, "Write text.gguf alone");
  command->add_flag("--only-vision", flags->only_vision, "Write mmproj.gguf alone")->excludes(text);
  command->add_option("-o,--out", flags->options.out_dir, "The directory to write to")->required();
  command->callback([flags, &status] { status = RunSynth(*flags); });
}

}  // namespace mobilevlm::app
