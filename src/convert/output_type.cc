#include "convert/output_type.h"

#include "gguf/reader.h"

namespace mobilevlm {

Result<OutputType> OutputType::Parse(std::string_view name) {
  if (name == "f32") return OutputType(DType::kF32);
  if (name == "f16") return OutputType(DType::kF16);
  if (name == "bf16") return OutputType(DType::kBF16);
  if (const Preset* preset = FindPreset(name)) return OutputType(*preset);
  return Fail("wanted {}, found {}", Names(), Printable(name));
}

std::string OutputType::Names() { return "f32, f16, bf16, " + PresetNames(); }

DType OutputType::Of(const TensorSpec& spec, int layers, const PolicyContext& context) const {
  switch (spec.storage) {
    case TensorStorage::kFloat:
      return DType::kF32;
    case TensorStorage::kHalf:
      return preset_ == nullptr && plain_ != DType::kF16 ? DType::kF32 : DType::kF16;
    case TensorStorage::kMatrix:
      break;
  }
  if (preset_ == nullptr) return plain_;
  return FallbackType(PresetType(*preset_, PlaceOf(spec, layers), context), spec.shape.back());
}

FileType OutputType::file_type() const {
  return preset_ == nullptr ? FileType(plain_) : FileType(preset_->file_type, /*is_quantised=*/true);
}

}  // namespace mobilevlm
