// Sizes and recipe of the mini model. The numbers of the recipe are flags of `mobilevlm-train mini`.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "schema/config.h"
#include "text/tokenizer.h"
#include "train/parallel/options.h"

namespace mobilevlm::train {

struct MiniConfig {
  ImageConfig image{.image_size = 144,
                    .mean = {0.48145466f, 0.4578275f, 0.40821073f},
                    .std = {0.26862954f, 0.26130258f, 0.27577711f}};
  VisionConfig vision{.hidden = 192,
                      .intermediate = 768,
                      .heads = 6,
                      .stored_layers = 6,
                      .used_layers = 6,
                      .image_size = 144,
                      .patch_size = 12,
                      .layer_norm_eps = 1e-5f};
  LlmConfig llm{.hidden = 256,
                .intermediate = 768,
                .layers = 4,
                .heads = 4,
                .kv_heads = 4,
                .head_dim = 64,
                .vocab = 2048,
                .context = 512,
                .rms_eps = 1e-6f};

  ProjectorConfig projector() const {
    return {.type = ProjectorType::kLdpV2,
            .vision_hidden = vision.hidden,
            .hidden = llm.hidden,
            .grid = vision.grid()};
  }
  // The decoder with as many tokens as the tokenizer really has.
  LlmConfig LlmWith(const Tokenizer& tokenizer) const {
    LlmConfig result = llm;
    result.vocab = tokenizer.size();
    return result;
  }
};

// What every stage needs to know about its run.
struct StageOptions {
  std::string directory = {};  // of the whole run; a stage uses directory/<stage>
  int64_t steps = 0;
  int64_t warmup = 500;
  int64_t batch = 32;       // samples per step
  int64_t micro_batch = 8;  // samples per forward pass
  double learning_rate = 1e-3;
  double weight_decay = 0.05;
  double floor = 0.01;
  int64_t validate_every = 500;
  int64_t validation_samples = 256;
  int64_t log_every = 50;
  double checkpoint_minutes = 5;
  uint64_t seed = 1;
  int loaders = 1;  // threads that draw pictures
  ParallelOptions parallel = {};
};

// The numbers of the text stages besides StageOptions.
struct TextOptions {
  int64_t scenes = 16000;            // training scenes with cached features
  int64_t questions_per_kind = 128;  // in validation
  int most_rounds = 12;              // most questions about one scene
  double dialogue_share = 0.15;      // of scenes: their questions make one conversation
  double caption_share = 0.15;       // of the language stage's samples
  double projector_rate = 2e-3;      // learning rate of the projector in align
  double cell_loss = 1;              // of align: weight of the distance to the cells' words
  double look_loss = 0.5;            // of language and multitask: weight of where attention looks
  // How often a kind is asked; absent: 1. Names and captions tell the decoder most about the cells, and they
  // are few among the many possible questions of yes and no.
  std::map<std::string, double> kind_weights = {{"name", 3.0},  {"caption", 0.5}, {"colour", 2.0},
                                                {"where", 1.5}, {"count", 1.5},   {"text", 0.7},
                                                {"chart", 0.7}};
};

}  // namespace mobilevlm::train
