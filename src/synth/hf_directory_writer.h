// Synthetic models as Hugging Face directories, in the layout of the official ones.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "schema/tensors.h"
#include "synth/synth.h"

namespace mobilevlm {

// What the official checkpoints store, in the order of their state dict: all that the schema lists, and what
// nothing here uses: the tower's last block and post_layernorm, and in the 7B (saved by transformers 4.31)
// the rotary frequencies of every layer. Convolutions of 1x1 keep their extents of 1.
std::vector<TensorSpec> OfficialTensors(const ModelSize& size);

// config.json as the official repositories have it. A tower that is openai/clip-vit-large-patch14-336 is
// named and not described; any other has `vision_config`.
std::string OfficialConfig(const ModelSize& size, DType type);

// config.json, generation_config.json, tokenizer.model and the weights in options.layout, which is one of the
// two of Hugging Face.
Status SynthesizeHfDirectory(const SynthOptions& options);

}  // namespace mobilevlm
