// The one table of every tensor of a MobileVLM model: GGUF name, Hugging Face name, shape, how the values
// change between the two, and how they may be stored. Loader, converter, inspect and the trainer's export
// all read it, so they cannot disagree.
//
// Hugging Face names are the official state dict's (MobileLlamaForCausalLM), with its doubled prefix
// "model.vision_tower.vision_tower.". Shapes are outermost first and written as GGUF stores them; extents
// of 1 do not count when shapes are compared, because the official checkpoint has 1x1 convolutions where
// GGUF has matrices ([H/4, H, 1, 1] and [H/4, H]) and old files squeeze the depthwise [H, 1, 3, 3].
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "gguf/reader.h"
#include "schema/config.h"

namespace mobilevlm {

inline constexpr std::string_view kHfVisionPrefix = "model.vision_tower.vision_tower.vision_model.";
inline constexpr std::string_view kHfProjectorPrefix = "model.mm_projector.";

enum class TensorStorage {
  kMatrix,  // any type, quantised ones too
  kHalf,    // F16, BF16 or F32: convolutions and the position table
  kFloat,   // F32: norms, biases, the class embedding
};

enum class TensorTransform {
  kNone,
  // The rows of q and k: Hugging Face rotates halves of a head (row i with row i + head_dim/2), GGUF
  // adjacent pairs (row 2i with 2i + 1). Per head, GGUF row 2i + j is Hugging Face row j * head_dim/2 + i.
  kRopeRows,
};

struct TensorSpec {
  std::string gguf_name;
  std::string hf_name;
  std::vector<uint64_t> shape;
  TensorStorage storage = TensorStorage::kMatrix;
  TensorTransform transform = TensorTransform::kNone;
  int heads = 0;           // of kRopeRows
  bool pointwise = false;  // a 1x1 convolution: in Hugging Face's shape two extents of 1 follow

  std::vector<uint64_t> hf_shape() const;
};

// The community mmproj files call fc1 "ffn_down" and fc2 "ffn_up"; newer ones do not. Only the shape tells:
// fc1 is [intermediate, hidden]. Where both are square the file is taken as a legacy one, as llama.cpp does.
enum class FfnNaming { kLegacySwapped, kPlain };

std::vector<TensorSpec> LlmTensors(const LlmConfig& config);
// The used blocks only.
std::vector<TensorSpec> VisionTensors(const VisionConfig& config,
                                      FfnNaming naming = FfnNaming::kLegacySwapped);
std::vector<TensorSpec> ProjectorTensors(const ProjectorConfig& config);

Result<FfnNaming> DetectFfnNaming(const GgufFile& mmproj, const VisionConfig& config);

// Every tensor of an mmproj: VisionTensors named as the file does, then ProjectorTensors.
Result<std::vector<TensorSpec>> MmprojTensors(const GgufFile& mmproj);

bool SameShape(std::span<const uint64_t> a, std::span<const uint64_t> b);  // extents of 1 do not count
bool StorageAllows(TensorStorage storage, DType type);

// The tensor, its shape and type checked in the same call; an Error names it, wanted and found.
Result<const GgufTensor*> FindTensor(const GgufFile& file, const TensorSpec& spec);

// All tensors of `specs`, checked as by FindTensor, under their Hugging Face names: what a stage binds its
// weights from, whatever the file calls them.
class TensorMap {
 public:
  static Result<TensorMap> Bind(const GgufFile& file, std::span<const TensorSpec> specs);

  // The name must be one of `specs`; anything else is our own mistake and aborts.
  const GgufTensor& Get(std::string_view hf_name) const;
  // prefix + name
  const GgufTensor& Get(std::string_view prefix, std::string_view name) const;
  // The first extent that the specification gives it; the file's own may be a 1 in front.
  uint64_t Outputs(std::string_view hf_name) const;

 private:
  struct Bound {
    const GgufTensor* tensor;
    uint64_t outputs;
  };
  const Bound& Find(std::string_view hf_name) const;

  std::unordered_map<std::string, Bound> tensors_;
};

}  // namespace mobilevlm
