#include "schema/write_config.h"

#include "base/check.h"

namespace mobilevlm {
namespace {

uint32_t U32(int value) { return static_cast<uint32_t>(value); }

uint32_t NumberOf(DType matrices) {
  switch (matrices) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ4_0:
      return 2;
    case DType::kQ4_1:
      return 3;
    case DType::kQ8_0:
      return 7;
    case DType::kQ5_0:
      return 8;
    case DType::kQ5_1:
      return 9;
    case DType::kQ2_K:
      return 10;
    case DType::kQ3_K:
      return 12;
    case DType::kQ4_K:
      return 15;
    case DType::kQ5_K:
      return 17;
    case DType::kQ6_K:
      return 18;
    case DType::kBF16:
      return 32;
  }
  MVLM_CHECK(false, "no file type for type number {}", static_cast<uint32_t>(matrices));
  return 0;
}

void WriteGeneral(GgufWriter& out, std::string_view name, FileType type) {
  out.SetString("general.name", name);
  out.SetU32("general.file_type", type.number);
  if (type.quantised) out.SetU32("general.quantization_version", 2);
}

}  // namespace

FileType::FileType(DType matrices) : number(NumberOf(matrices)), quantised(IsQuantised(matrices)) {}

void WriteLlmConfig(GgufWriter& out, std::string_view name, FileType type, const LlmConfig& llm) {
  out.SetString("general.architecture", "llama");
  WriteGeneral(out, name, type);
  out.SetU32("llama.context_length", U32(llm.context));
  out.SetU32("llama.embedding_length", U32(llm.hidden));
  out.SetU32("llama.block_count", U32(llm.layers));
  out.SetU32("llama.feed_forward_length", U32(llm.intermediate));
  out.SetU32("llama.attention.head_count", U32(llm.heads));
  out.SetU32("llama.attention.head_count_kv", U32(llm.kv_heads));
  out.SetF32("llama.attention.layer_norm_rms_epsilon", llm.rms_eps);
  out.SetU32("llama.rope.dimension_count", U32(llm.head_dim));
  out.SetF32("llama.rope.freq_base", llm.rope_base);
  out.SetU32("llama.vocab_size", U32(llm.vocab));
}

void WriteMmprojConfig(GgufWriter& out, std::string_view name, FileType type, const ImageConfig& image,
                       const VisionConfig& vision, ProjectorType projector) {
  // The width of CLIP's contrastive head, which is not in the file; readers of these files want the key.
  constexpr uint32_t kProjectionDim = 768;
  out.SetString("general.architecture", "clip");
  out.SetBool("clip.has_text_encoder", false);
  out.SetBool("clip.has_vision_encoder", true);
  out.SetBool("clip.has_llava_projector", true);
  WriteGeneral(out, name, type);
  out.SetString("general.description", "image encoder for LLaVA");
  out.SetString("clip.projector_type", ProjectorName(projector));
  out.SetU32("clip.vision.image_size", U32(vision.image_size));
  out.SetU32("clip.vision.patch_size", U32(vision.patch_size));
  out.SetU32("clip.vision.embedding_length", U32(vision.hidden));
  out.SetU32("clip.vision.feed_forward_length", U32(vision.intermediate));
  out.SetU32("clip.vision.projection_dim", kProjectionDim);
  out.SetU32("clip.vision.attention.head_count", U32(vision.heads));
  out.SetF32("clip.vision.attention.layer_norm_epsilon", vision.layer_norm_eps);
  out.SetU32("clip.vision.block_count", U32(vision.used_layers));
  const int32_t feature_layer = vision.used_layers;
  out.SetI32s("clip.vision.feature_layer", {&feature_layer, 1});
  out.SetF32s("clip.vision.image_mean", image.mean);
  out.SetF32s("clip.vision.image_std", image.std);
  out.SetBool("clip.use_gelu", vision.activation == VisionActivation::kGelu);
}

}  // namespace mobilevlm
