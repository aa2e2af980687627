// mobilevlm convert: a Hugging Face directory into the two GGUF files.
#include "convert/convert.h"

#include <fmt/format.h>

#include <memory>
#include <string>

#include "commands.h"

namespace mobilevlm::app {
namespace {

struct ConvertFlags {
  std::string hf_dir;
  std::string out_dir;
  std::string type = "f16";
  std::string vision_type = "f16";
};

Result<DType> ParseType(std::string_view flag, const std::string& name) {
  if (const auto type = ParseConvertType(name)) return *type;
  return Fail("convert: {}: wanted f32, f16 or q8_0, found {}", flag, name);
}

Status RunConvert(const ConvertFlags& flags) {
  ConvertOptions options;
  options.hf_dir = flags.hf_dir;
  options.out_dir = flags.out_dir;
  MVLM_ASSIGN(options.text_type, ParseType("--type", flags.type));
  MVLM_ASSIGN(options.vision_type, ParseType("--vision-type", flags.vision_type));
  MVLM_TRY(ConvertHfDirectory(options));
  fmt::print("{0}/text.gguf\n{0}/mmproj.gguf\n", flags.out_dir);
  return {};
}

}  // namespace

void AddConvertCommand(CLI::App& app, Status& status) {
  CLI::App* command =
      app.add_subcommand("convert",
                         "Convert a Hugging Face directory to text.gguf and mmproj.gguf\n\n"
                         "Examples:\n"
                         "  mobilevlm convert my-model -o my-model-gguf\n"
                         "  mobilevlm convert my-model -o small --type q8_0 --vision-type q8_0\n\n"
                         "HF_DIR holds config.json (with vision_config), model.safetensors and\n"
                         "tokenizer.model, as mobilevlm-train writes them.");
  const auto flags = std::make_shared<ConvertFlags>();
  command->add_option("HF_DIR", flags->hf_dir, "The directory to read")->required();
  command->add_option("-o,--out", flags->out_dir, "The directory to write to")->required();
  command->add_option("--type", flags->type, "Matrices of the text model: f32, f16 or q8_0")
      ->capture_default_str();
  command->add_option("--vision-type", flags->vision_type, "Matrices of the mmproj: f32, f16 or q8_0")
      ->capture_default_str();
  command->callback([flags, &status] { status = RunConvert(*flags); });
}

}  // namespace mobilevlm::app
