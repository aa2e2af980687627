#include "convert/convert.h"

#include <algorithm>
#include <filesystem>

#include "base/check.h"
#include "checkpoint/hf_directory.h"
#include "convert/element_types.h"
#include "convert/write_vocab.h"
#include "gguf/writer.h"
#include "schema/write_config.h"
#include "tensor/dequantize.h"
#include "text/tokenizer.h"

namespace mobilevlm {
namespace {

uint32_t U(int value) { return static_cast<uint32_t>(value); }

// One tensor of the checkpoint, transformed and encoded when the writer asks for it.
Status AddTensor(GgufWriter& out, const SafetensorsFile& weights, const TensorSpec& spec, DType matrices) {
  MVLM_ASSIGN(const NamedTensor* tensor, weights.Require(spec.hf_name));
  if (!SameShape(tensor->shape, spec.shape)) {
    return Fail("{}: tensor {}: wanted shape {}, found {}", weights.path(), spec.hf_name,
                ShapeText(spec.shape), ShapeText(tensor->shape));
  }
  const DType type = StoredType(spec, matrices);
  const std::string where = fmt::format("{}: tensor {}", weights.path(), spec.hf_name);
  out.AddTensor(spec.gguf_name, type, spec.shape,
                [tensor, spec, type, where]() -> Result<std::vector<std::byte>> {
                  std::vector<float> values = DequantizeTensor(tensor->type, tensor->data);
                  if (spec.transform == TensorTransform::kRopeRows) {
                    values = PermuteRopeRows(values, spec.heads, spec.shape[0], spec.shape[1]);
                  }
                  return EncodeTensor(type, values, where);
                });
  return {};
}

Status AddTensors(GgufWriter& out, const SafetensorsFile& weights, const std::vector<TensorSpec>& specs,
                  DType matrices) {
  for (const TensorSpec& spec : specs) MVLM_TRY(AddTensor(out, weights, spec, matrices));
  return {};
}

Status SetVocab(GgufWriter& out, const HfDirectory& hf) {
  const std::string where = hf.path + "/tokenizer.model";
  auto vocab = ParseSentencePieceModel(hf.tokenizer_model);
  if (!vocab) return Context(vocab.error(), "{}", where);
  const HfConfig& config = hf.config;
  if (vocab->pieces.size() > U(config.llm.vocab)) {
    return Fail("{}: {} pieces, but config.json says vocab_size {}", where, vocab->pieces.size(),
                config.llm.vocab);
  }
  if (vocab->bos != config.bos || vocab->eos != config.eos) {
    return Fail("{}: bos {} and eos {}, but config.json says {} and {}", where, vocab->bos, vocab->eos,
                config.bos, config.eos);
  }
  // Rows of a padded embedding table that no piece uses.
  while (vocab->pieces.size() < U(config.llm.vocab)) {
    vocab->pieces.push_back(fmt::format("<pad{}>", vocab->pieces.size()));
    vocab->scores.push_back(0);
    vocab->types.push_back(PieceType::kUnused);
  }
  WriteVocab(out, *vocab);
  return {};
}

Status WriteText(const HfDirectory& hf, const std::string& name, const ConvertOptions& options) {
  GgufWriter out;
  WriteLlmConfig(out, name, options.text_type, hf.config.llm);
  MVLM_TRY(SetVocab(out, hf));
  MVLM_TRY(AddTensors(out, hf.weights, LlmTensors(hf.config.llm), options.text_type));
  return out.Write(options.out_dir + "/text.gguf");
}

Status WriteMmproj(const HfDirectory& hf, const std::string& name, const ConvertOptions& options) {
  GgufWriter out;
  WriteMmprojConfig(out, name, options.vision_type, hf.config.image, hf.config.vision,
                    hf.config.projector.type);
  const std::vector<TensorSpec> vision = VisionTensors(hf.config.vision, FfnNaming::kLegacySwapped);
  MVLM_TRY(AddTensors(out, hf.weights, vision, options.vision_type));
  MVLM_TRY(AddTensors(out, hf.weights, ProjectorTensors(hf.config.projector), options.vision_type));
  return out.Write(options.out_dir + "/mmproj.gguf");
}

// "dir/model/" and "dir/model" are both called "model".
std::string DirectoryName(const std::string& path) {
  std::error_code error;
  std::filesystem::path whole = std::filesystem::weakly_canonical(path, error);
  if (error) whole = path;
  if (whole.filename().empty()) whole = whole.parent_path();
  return whole.filename().string();
}

}  // namespace

std::optional<DType> ParseConvertType(std::string_view name) {
  if (name == "f32") return DType::kF32;
  if (name == "f16") return DType::kF16;
  if (name == "q8_0") return DType::kQ8_0;
  return std::nullopt;
}

DType StoredType(const TensorSpec& spec, DType matrices) {
  if (spec.storage == TensorStorage::kFloat || matrices == DType::kF32) return DType::kF32;
  if (spec.storage == TensorStorage::kHalf || !RowBytes(matrices, spec.shape.back())) return DType::kF16;
  return matrices;
}

std::vector<float> PermuteRopeRows(const std::vector<float>& values, int heads, size_t rows, size_t cols) {
  const size_t head_dim = rows / static_cast<size_t>(heads);
  const size_t half = head_dim / 2;
  MVLM_CHECK(values.size() == rows * cols && half * 2 * static_cast<size_t>(heads) == rows,
             "{} values, {} heads, {} rows", values.size(), heads, rows);
  std::vector<float> permuted(values.size());
  for (size_t row = 0; row < rows; ++row) {
    const size_t head = row / head_dim;
    const size_t pair = row % head_dim / 2;
    const size_t from = head * head_dim + (row % 2) * half + pair;
    std::copy_n(values.begin() + static_cast<ptrdiff_t>(from * cols), cols,
                permuted.begin() + static_cast<ptrdiff_t>(row * cols));
  }
  return permuted;
}

Status ConvertHfDirectory(const ConvertOptions& options) {
  MVLM_ASSIGN(const HfDirectory hf, HfDirectory::Open(options.hf_dir));
  MVLM_TRY(CheckFit(hf.config.llm, hf.config.projector));
  std::error_code error;
  std::filesystem::create_directories(options.out_dir, error);
  if (error) return Fail("{}: cannot create the directory: {}", options.out_dir, error.message());
  const std::string name = DirectoryName(options.hf_dir);
  MVLM_TRY(WriteText(hf, name, options));
  return WriteMmproj(hf, name, options);
}

}  // namespace mobilevlm
