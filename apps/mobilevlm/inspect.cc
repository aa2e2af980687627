// mobilevlm inspect: what a model file is, whether it would load, and what it holds.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "checkpoint/weight_files.h"
#include "commands.h"
#include "inspect_report.h"
#include "tensor/dequantize.h"
#include "tensor/npy.h"

namespace mobilevlm::app {
namespace {

struct InspectFlags {
  std::string file;
  std::string base;
  bool json = false;
  std::string tensor;
  std::string npy;
};

Status WriteTensor(DType type, std::span<const uint64_t> shape, std::span<const std::byte> data,
                   const std::string& out) {
  const std::vector<size_t> extents(shape.begin(), shape.end());
  return WriteNpy(out, extents, DequantizeTensor(type, data));
}

// Strides of 0 let one stored element stand for any number of them, more than any memory holds.
Status CheckStored(const NamedTensor& tensor, const std::string& path) {
  const uint64_t stored = tensor.data.size() / GetDTypeInfo(tensor.type).block_bytes;
  if (tensor.elements() <= stored) return {};
  return Fail("{}: tensor {}: wanted at most the {} elements that are stored, found shape {}", path,
              tensor.name, stored, ShapeText(tensor.shape));
}

Status ExtractTensor(const InspectFlags& flags) {
  std::error_code ignored;
  const bool directory = std::filesystem::is_directory(flags.file, ignored);
  if (directory || IsWeightFile(flags.file)) {
    MVLM_ASSIGN(const WeightFiles files,
                directory ? WeightFiles::Open(flags.file) : WeightFiles::OpenFile(flags.file));
    MVLM_ASSIGN(const NamedTensor* tensor, files.Require(flags.tensor));
    MVLM_TRY(CheckStored(*tensor, files.FileOf(*tensor)));
    std::vector<float> values(tensor->elements());
    ReadElements(*tensor, 0, values.size(), values.data());
    return WriteNpy(flags.npy, std::vector<size_t>(tensor->shape.begin(), tensor->shape.end()), values);
  }
  MVLM_ASSIGN(const GgufFile file, GgufFile::Open(flags.file));
  const GgufTensor* tensor = file.FindTensor(flags.tensor);
  if (tensor == nullptr) return Fail("{}: tensor {} is missing", flags.file, flags.tensor);
  return WriteTensor(tensor->type, tensor->shape, tensor->data, flags.npy);
}

Status RunInspect(const InspectFlags& flags) {
  if (!flags.tensor.empty()) return ExtractTensor(flags);
  MVLM_ASSIGN(const InspectReport report, InspectFile(flags.file, flags.base));
  fmt::print("{}", flags.json ? ReportJson(report) : ReportText(report));
  return {};
}

}  // namespace

void AddInspectCommand(CLI::App& app, Status& status) {
  CLI::App* command = app.add_subcommand(
      "inspect",
      "Show what a model file or directory is and what it holds\n\n"
      "Examples:\n"
      "  mobilevlm inspect text.gguf\n"
      "  mobilevlm inspect mmproj.gguf --json\n"
      "  mobilevlm inspect MobileVLM_V2-1.7B\n"
      "  mobilevlm inspect my-lora --base MobileVLM_V2-1.7B\n"
      "  mobilevlm inspect text.gguf --tensor blk.0.attn_q.weight --npy q.npy\n\n"
      "Reads GGUF, safetensors and torch .bin files, Hugging Face directories of models, of\n"
      "CLIP and of LoRA adapters. Problems that would stop a load or a conversion are listed,\n"
      "and tensors that are missing, that nothing needs, or that nothing expects.");
  const auto flags = std::make_shared<InspectFlags>();
  command->add_option("FILE", flags->file, "A .gguf, .safetensors or .bin file, or a directory")->required();
  command->add_option("--base", flags->base, "The model that the LoRA adapter FILE was trained on");
  command->add_flag("--json", flags->json, "Machine-readable");
  CLI::Option* tensor = command->add_option("--tensor", flags->tensor, "Write this tensor as float32");
  CLI::Option* npy = command->add_option("--npy", flags->npy, "The .npy file to write it to");
  tensor->needs(npy);
  npy->needs(tensor);
  command->callback([flags, &status] { status = RunInspect(*flags); });
}

}  // namespace mobilevlm::app
