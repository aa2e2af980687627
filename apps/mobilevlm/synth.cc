// mobilevlm synth: models with random weights.
#include "synth/synth.h"

#include <fmt/format.h>

#include <memory>
#include <string>

#include "commands.h"

namespace mobilevlm::app {
namespace {

struct SynthFlags {
  std::string size;
  std::string layout = "gguf";
  std::string projector = "ldpv2";
  std::string type;  // empty: the layout's
  std::string vision_type;
  SynthOptions options;
  bool only_text = false;
  bool only_vision = false;
};

Result<DType> ParseTensorType(std::string_view flag, const std::string& name) {
  const Result<DType> type = ParseSynthType(name);
  if (!type) return Context(type.error(), "synth: {}", flag);
  return type;
}

Result<ProjectorType> ParseProjector(const std::string& name) {
  for (const ProjectorType type : {ProjectorType::kLdp, ProjectorType::kLdpV2, ProjectorType::kMlp}) {
    if (name == ProjectorName(type)) return type;
  }
  return Fail("synth: --projector: wanted ldp, ldpv2 or mlp, found {}", name);
}

// Flags that mean something for one kind of layout only.
Status CheckLayout(const SynthFlags& flags, SynthLayout layout) {
  if (layout == SynthLayout::kGguf) {
    if (flags.options.shards != 1) return Fail("synth: --shards is for Hugging Face layouts");
    return {};
  }
  const std::string_view flag = flags.only_text              ? "--only-text"
                                : flags.only_vision          ? "--only-vision"
                                : !flags.vision_type.empty() ? "--vision-type"
                                                             : "";
  if (flag.empty()) return {};
  return Fail("synth: {} is for GGUF files; a Hugging Face directory is one model of one type", flag);
}

Status RunSynth(const SynthFlags& flags) {
  SynthOptions options = flags.options;
  const Result<ModelSize> size = FindModelSize(flags.size);
  if (!size) return Context(size.error(), "synth: --size");
  options.size = *size;
  MVLM_ASSIGN(options.size.projector_type, ParseProjector(flags.projector));
  const Result<SynthLayout> layout = ParseSynthLayout(flags.layout);
  if (!layout) return Context(layout.error(), "synth: --layout");
  options.layout = *layout;
  MVLM_TRY(CheckLayout(flags, *layout));
  const bool gguf = *layout == SynthLayout::kGguf;
  MVLM_ASSIGN(options.text_type, ParseTensorType("--type", !flags.type.empty() ? flags.type
                                                           : gguf              ? "q4_0"
                                                                               : "bf16"));
  MVLM_ASSIGN(options.vision_type,
              ParseTensorType("--vision-type", flags.vision_type.empty() ? "q8_0" : flags.vision_type));
  options.text = !flags.only_vision;
  options.vision = !flags.only_text;
  options.progress =
      ShowMegabytes("writing", fmt::format("the file in the making was not written to {}", options.out_dir));
  MVLM_TRY(SynthesizeModel(options));
  if (!gguf) {
    fmt::print("{}\n", options.out_dir);
    return {};
  }
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
      "  mobilevlm synth --size 3b --type q8_0 --vision-type f16 -o random-3b\n"
      "  mobilevlm synth --size 7b --layout hf-bin --shards 2 -o random-7b-hf\n\n"
      "The files have the layout, the sizes and the speed of a real model; the answers are\n"
      "noise. --layout hf-bin is what the official repositories hold: names, shapes, bf16\n"
      "pickles and a config.json that does not describe the tower.");
  const auto flags = std::make_shared<SynthFlags>();
  command->add_option("--size", flags->size, "1.7b, 3b, 7b (MobileVLM V2) or mini (the bundled model)")
      ->required();
  command->add_option("--layout", flags->layout, "gguf, hf-bin or hf-safetensors")->capture_default_str();
  command
      ->add_option("--shards", flags->options.shards, "Files that the weights of an hf layout are cut into")
      ->check(WholeNumber(1, 2))
      ->capture_default_str();
  command->add_option("--projector", flags->projector, "ldpv2 (V2), ldp (V1) or mlp (LLaVA-1.5)")
      ->capture_default_str();
  command->add_option("--type", flags->type,
                      "Matrices of the text model: " + SynthTypeNames() +
                          " (default: q4_0); hf layouts: f32, f16 or bf16, of all tensors (default: bf16)");
  command->add_option("--vision-type", flags->vision_type,
                      "Matrices of the mmproj: the same types (default: q8_0)");
  command->add_option("--seed", flags->options.seed, "The same seed gives the same bytes")
      ->capture_default_str();
  command->add_option("--threads", flags->options.threads, "Threads (0: one per CPU)")
      ->check(WholeNumber(0, 1024))
      ->capture_default_str();
  CLI::Option* text = command->add_flag("--only-text", flags->only_text, "Write text.gguf alone");
  command->add_flag("--only-vision", flags->only_vision, "Write mmproj.gguf alone")->excludes(text);
  command->add_option("-o,--out", flags->options.out_dir, "The directory to write to")->required();
  command->callback([flags, &status] { status = RunSynth(*flags); });
}

}  // namespace mobilevlm::app
