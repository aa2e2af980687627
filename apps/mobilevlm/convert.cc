// mobilevlm convert: Hugging Face directories into the two GGUF files, and back.
#include "convert/convert.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "commands.h"
#include "convert/to_hf.h"

namespace mobilevlm::app {
namespace {

namespace fs = std::filesystem;

struct ConvertFlags {
  std::string in;
  std::string out_dir;
  std::string to = "gguf";
  std::string type;  // of the way to GGUF; empty: f16
  std::string vision_type;
  std::string vision;
  std::string base;
  std::string mmproj;
  bool dequantize = false;
  int threads = 0;
};

WorkProgress ShowProgress(const std::string& out_dir) {
  return ShowMegabytes("converting", fmt::format("the file in the making was not written to {}", out_dir));
}

Result<OutputType> ParseType(std::string_view flag, const std::string& name) {
  if (name.empty()) return OutputType(DType::kF16);
  auto type = OutputType::Parse(name);
  if (!type) return Context(type.error(), "convert: {}", flag);
  return type;
}

void PrintPaths(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) fmt::print("{}\n", path);
}

Status ToGguf(const ConvertFlags& flags) {
  if (!flags.mmproj.empty()) return Fail("convert: --mmproj belongs to --to hf");
  if (flags.dequantize) return Fail("convert: --dequantize belongs to --to hf");
  ConvertOptions options;
  options.hf_dir = flags.in;
  options.out_dir = flags.out_dir;
  options.base = flags.base;
  options.vision = flags.vision;
  options.threads = flags.threads;
  MVLM_ASSIGN(options.text_type, ParseType("--type", flags.type));
  MVLM_ASSIGN(options.vision_type, ParseType("--vision-type", flags.vision_type));
  options.progress = ShowProgress(flags.out_dir);
  MVLM_ASSIGN(const std::vector<std::string> written, ConvertHfDirectory(options));
  PrintPaths(written);
  return {};
}

Status ToHf(const ConvertFlags& flags) {
  if (!flags.base.empty() || !flags.vision.empty()) {
    return Fail("convert: --base and --vision belong to the way to GGUF");
  }
  if (!flags.type.empty() || !flags.vision_type.empty()) {
    return Fail("convert: --type and --vision-type belong to the way to GGUF");
  }
  ToHfOptions options;
  options.text = flags.in;
  options.mmproj = flags.mmproj;
  std::error_code ignored;
  if (fs::is_directory(flags.in, ignored)) {  // as `convert` writes it
    options.text = flags.in + "/text.gguf";
    const std::string mmproj = flags.in + "/mmproj.gguf";
    if (options.mmproj.empty() && fs::exists(mmproj, ignored)) options.mmproj = mmproj;
  }
  options.out_dir = flags.out_dir;
  options.dequantize = flags.dequantize;
  options.threads = flags.threads;
  options.progress = ShowProgress(flags.out_dir);
  MVLM_ASSIGN(const ToHfReport report, ConvertToHf(options));
  PrintPaths(report.written);
  if (report.vision_blocks > 0) {
    fmt::print(
        "the tower has the {} blocks that run, without a last one that nobody reads: "
        "mm_vision_select_layer is -1\n",
        report.vision_blocks);
  }
  return {};
}

}  // namespace

void AddConvertCommand(CLI::App& app, Status& status) {
  CLI::App* command = app.add_subcommand(
      "convert",
      "Convert a Hugging Face directory to text.gguf and mmproj.gguf, or back\n\n"
      "Examples:\n"
      "  mobilevlm convert MobileVLM_V2-1.7B -o gguf\n"
      "  mobilevlm convert MobileVLM_V2-1.7B -o small --type q4_k_m --vision-type q8_0\n"
      "  mobilevlm convert MobileVLM-1.7B -o gguf --vision clip-vit-large-patch14-336\n"
      "  mobilevlm convert my-lora -o gguf --base MobileVLM_V2-1.7B\n"
      "  mobilevlm convert gguf -o hf --to hf\n\n"
      "IN is a directory of MobileVLM V1 or V2, LLaVA-1.5 or a text-only LLaMA: config.json, "
      "tokenizer.model,\n"
      "and safetensors or pytorch_model.bin, in one file or several with an index. A LoRA adapter is merged\n"
      "into its base. Nothing inside a .bin is executed.\n"
      "With --to hf, IN is a directory that this command wrote, or the text model's .gguf file.");
  const auto flags = std::make_shared<ConvertFlags>();
  command->add_option("IN", flags->in, "What to read")->required();
  command->add_option("-o,--out", flags->out_dir, "The directory to write to")->required();
  command->add_option("--to", flags->to, "gguf or hf")
      ->check(CLI::IsMember({"gguf", "hf"}))
      ->capture_default_str();
  command->add_option("--type", flags->type,
                      "Matrices of the text model: " + OutputType::Names() + " (default: f16)");
  command->add_option("--vision-type", flags->vision_type,
                      "Matrices of the mmproj: the same types (default: f16)");
  command->add_option("--vision", flags->vision, "A CLIP directory whose tower is used instead of IN's own");
  command->add_option("--base", flags->base, "The model that the LoRA adapter IN was trained on");
  command->add_option("--mmproj", flags->mmproj, "With --to hf: the vision file that belongs to IN");
  command->add_flag("--dequantize", flags->dequantize,
                    "With --to hf: quantised matrices as F32, with the values that they stand for");
  command->add_option("--threads", flags->threads, "Threads (0: one per CPU)")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->callback([flags, &status] { status = flags->to == "hf" ? ToHf(*flags) : ToGguf(*flags); });
}

}  // namespace mobilevlm::app
