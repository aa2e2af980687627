#include "convert/convert.h"

#include <algorithm>
#include <filesystem>

#include "base/check.h"
#include "checkpoint/hf_directory.h"
#include "convert/element_types.h"
#include "gguf/writer.h"
#include "tensor/dequantize.h"
#include "text/tokenizer.h"

namespace mobilevlm {
namespace {

// Values of general.file_type, as GGUF tools print them.
uint32_t FileType(DType matrices) {
  switch (matrices) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ8_0:
      return 7;
    default:
      MVLM_CHECK(false, "no file type for {}", DTypeName(matrices));
  }
  return 0;
}

uint32_t U(int value) { return static_cast<uint32_t>(value); }

void SetGeneral(GgufWriter& out, const std::string& name, DType matrices) {
  out.SetString("general.name", name);
  out.SetU32("general.file_type", FileType(matrices));
  if (GetDTypeInfo(matrices).block_size > 1) out.SetU32("general.quantization_version", 2);
}

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

void SetLlm(GgufWriter& out, const LlmConfig& llm) {
  out.SetU32("llama.context_length", U(llm.context));
  out.SetU32("llama.embedding_length", U(llm.hidden));
  out.SetU32("llama.block_count", U(llm.layers));
  out.SetU32("llama.feed_forward_length", U(llm.intermediate));
  out.SetU32("llama.attention.head_count", U(llm.heads));
  out.SetU32("llama.attention.head_count_kv", U(llm.kv_heads));
  out.SetF32("llama.attention.layer_norm_rms_epsilon", llm.rms_eps);
  out.SetU32("llama.rope.dimension_count", U(llm.head_dim));
  out.SetF32("llama.rope.freq_base", llm.rope_base);
  out.SetU32("llama.vocab_size", U(llm.vocab));
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
  std::vector<int32_t> types;
  for (const PieceType type : vocab->types) types.push_back(static_cast<int32_t>(type));
  out.SetString("tokenizer.ggml.model", "llama");
  out.SetStrings("tokenizer.ggml.tokens", vocab->pieces);
  out.SetF32s("tokenizer.ggml.scores", vocab->scores);
  out.SetI32s("tokenizer.ggml.token_type", types);
  out.SetU32("tokenizer.ggml.bos_token_id", U(vocab->bos));
  out.SetU32("tokenizer.ggml.eos_token_id", U(vocab->eos));
  out.SetU32("tokenizer.ggml.unknown_token_id", U(vocab->unk));
  out.SetBool("tokenizer.ggml.add_bos_token", true);
  out.SetBool("tokenizer.ggml.add_eos_token", false);
  return {};
}

Status WriteText(const HfDirectory& hf, const std::string& name, const ConvertOptions& options) {
  GgufWriter out;
  out.SetString("general.architecture", "llama");
  SetGeneral(out, name, options.text_type);
  SetLlm(out, hf.config.llm);
  MVLM_TRY(SetVocab(out, hf));
  MVLM_TRY(AddTensors(out, hf.weights, LlmTensors(hf.config.llm), options.text_type));
  return out.Write(options.out_dir + "/text.gguf");
}

void SetVision(GgufWriter& out, const HfConfig& config) {
  // The width of CLIP's contrastive head, which is not in the file; readers of these files want the key.
  constexpr uint32_t kProjectionDim = 768;
  const VisionConfig& vision = config.vision;
  out.SetString("clip.projector_type", ProjectorName(config.projector.type));
  out.SetU32("clip.vision.image_size", U(vision.image_size));
  out.SetU32("clip.vision.patch_size", U(vision.patch_size));
  out.SetU32("clip.vision.embedding_length", U(vision.hidden));
  out.SetU32("clip.vision.feed_forward_length", U(vision.intermediate));
  out.SetU32("clip.vision.projection_dim", kProjectionDim);
  out.SetU32("clip.vision.attention.head_count", U(vision.heads));
  out.SetF32("clip.vision.attention.layer_norm_epsilon", vision.layer_norm_eps);
  out.SetU32("clip.vision.block_count", U(vision.used_layers));
  out.SetF32s("clip.vision.image_mean", config.image.mean);
  out.SetF32s("clip.vision.image_std", config.image.std);
  out.SetBool("clip.use_gelu", vision.activation == VisionActivation::kGelu);
}

Status WriteMmproj(const HfDirectory& hf, const std::string& name, const ConvertOptions& options) {
  GgufWriter out;
  out.SetString("general.architecture", "clip");
  out.SetBool("clip.has_text_encoder", false);
  out.SetBool("clip.has_vision_encoder", true);
  out.SetBool("clip.has_llava_projector", true);
  SetGeneral(out, name, options.vision_type);
  out.SetString("general.description", "image encoder for LLaVA");
  SetVision(out, hf.config);
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
