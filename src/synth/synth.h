// Models with random weights, in the layout in which MobileVLM circulates: as fast and as large as real ones,
// for measuring a machine and for tests. What they answer is noise; activations keep the size they have at
// the start through all layers, as in a model before training.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "synth/sizes.h"
#include "tensor/dtype.h"

namespace mobilevlm {

struct SynthOptions {
  ModelSize size;
  DType text_type = DType::kQ4_0;    // of all matrices, the embedding table and the output included
  DType vision_type = DType::kQ8_0;  // of the matrices; convolutions and positions are F16, or F32 if this is
  uint64_t seed = 1;
  int threads = 0;  // 0: one per CPU; changes no byte
  bool text = true;
  bool vision = true;
  std::string out_dir;  // made if missing; gets text.gguf and mmproj.gguf
};

// Progress goes to standard error. A type whose blocks do not divide a row is an Error that names the tensor,
// before anything is written.
Status SynthesizeModel(const SynthOptions& options);

}  // namespace mobilevlm
