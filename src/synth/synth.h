// Models with random weights, in the layouts in which MobileVLM circulates: as fast and as large as real
// ones, for measuring a machine and for tests. What they answer is noise; activations keep the size they have
// at the start through all layers, as in a model before training.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "schema/sizes.h"
#include "tensor/dtype.h"

namespace mobilevlm {

enum class SynthLayout {
  kGguf,           // text.gguf and mmproj.gguf, as the community has them
  kHfBin,          // the official repositories: config.json, tokenizer.model, pytorch_model.bin
  kHfSafetensors,  // the same with model.safetensors
};

// "gguf", "hf-bin", "hf-safetensors"; an Error lists them.
Result<SynthLayout> ParseSynthLayout(std::string_view name);

// Any type of tensor/dtype.h, in any case; an Error lists them.
Result<DType> ParseSynthType(std::string_view name);
std::string SynthTypeNames();  // "f32, f16, ..."

struct SynthOptions {
  ModelSize size;
  SynthLayout layout = SynthLayout::kGguf;
  int shards = 1;                    // of the weights of a Hugging Face directory: 1 or 2
  DType text_type = DType::kQ4_0;    // of all matrices, the embedding table and the output included;
                                     // of every tensor of a Hugging Face directory: F32, F16 or BF16
  DType vision_type = DType::kQ8_0;  // of the matrices; convolutions and positions are F16, or F32 if this is
  uint64_t seed = 1;
  int threads = 0;   // 0: one per CPU; changes no byte
  bool text = true;  // of a GGUF pair
  bool vision = true;
  std::string out_dir;  // made if missing; gets the files
  // Called between pieces of work with the bytes of weights that are written, of all; an Error stops the
  // work, and the file in the making goes away.
  std::function<Status(uint64_t done, uint64_t total)> progress = nullptr;
};

// A type whose blocks do not divide a row is an Error that names the tensor, before anything is written.
Status SynthesizeModel(const SynthOptions& options);

}  // namespace mobilevlm
