// One stage of training, as one TOML file says it (configs/*.toml; the keys are in fields.cc).
//
// A file need not have every key: what it leaves out keeps the value of this struct. Every key can be
// overridden on the command line (--set schedule.steps=100), and the whole recipe as it was run is written
// into every checkpoint (recipe.toml). No torch here.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "schema/config.h"

namespace mobilevlm::train {

struct Recipe {
  std::string stage;              // its name, and that of its directory in a run
  std::string kind = "finetune";  // finetune, or one of the mini model's: mini-tower, mini-language, ...

  struct Model {
    std::string start;      // Hugging Face directory of the weights to start from; mini: empty for fresh ones
    std::string vision;     // CLIP directory; empty: the tower is in `start`
    std::string projector;  // type of a fresh one: ldpnetv2, ldpnet, mlp2x_gelu; empty: the one in `start`
    std::string projector_weights;    // file with a trained one, such as mm_projector.bin; empty: none
    std::vector<std::string> train;   // parts that move: projector, language
    std::string weights = "float32";  // of what is trained: float32, bfloat16 (with a float32 master copy)
    std::string frozen_weights = "float32";  // matrices of a frozen decoder: float32, bfloat16, q8_0
    std::string products = "float32";  // matrix products: float32, bfloat16, auto (bfloat16 where native)
    bool gradient_checkpointing = false;
  } model;

  struct Data {
    std::vector<std::string> annotations;  // LLaVA annotation files
    std::vector<double> shares;            // how often each file is seen, relative to once; empty: once
    std::string images;                    // directory that the pictures' names are relative to
    std::string chat_template = "v1";      // v1, plain
    std::string image_mode = "pad";        // pad, crop
    int64_t max_length = 2048;             // ids of text, before the picture's places are opened
    bool group_by_modality_length = false;
    double missing_limit = 0.01;  // share of unreadable pictures that stops the training
    int64_t loaders = 1;          // threads that read and prepare
    std::string feature_cache;    // directory for the frozen tower's features; empty: none
  } data;

  struct Optimizer {
    double learning_rate = 1e-3;
    double projector_learning_rate = 0;  // 0: as the rest
    double weight_decay = 0;
    double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
    double clip = 0;  // largest gradient norm; 0: none
  } optimizer;

  struct Schedule {
    int64_t epochs = 1;
    int64_t steps = 0;              // 0: as many as the epochs take
    int64_t batch = 32;             // samples per step, over all processes
    int64_t micro_batch = 8;        // samples per forward pass
    double warmup_ratio = 0;        // of the steps, rounded up
    int64_t warmup_steps = 0;       // if not 0: instead of the ratio
    bool warmup_from_zero = false;  // the first step's rate is 0, as Hugging Face's trainer has it
    double final_factor = 0;        // last learning rate relative to the peak
    // rank: the mean of each micro-batch's mean, as the paper's code; token: every supervised token counts
    // the same.
    std::string loss_average = "token";
  } schedule;

  struct Lora {
    int64_t rank = 0;  // 0: no LoRA
    double alpha = 0;
    double dropout = 0;
  } lora;

  struct Run {
    int64_t seed = 1;
    int64_t threads = 0;      // 0: one per CPU
    int64_t save_every = 0;   // steps; 0: by the clock only
    double save_minutes = 5;  // 0: by steps only
    int64_t keep = 1;         // newest checkpoints that are kept
    int64_t log_every = 50;
    int64_t validate_every = 500;
    int64_t validation_samples = 256;  // held back from the data
    int64_t samples = 6;               // predictions shown in the report, with their pictures
  } run;

  // The mini model: its sizes, and what its stages ask (docs/world.md).
  struct Mini {
    int64_t image_size = 144, patch_size = 12;
    int64_t vision_hidden = 192, vision_intermediate = 768, vision_heads = 6, vision_layers = 6;
    int64_t hidden = 256, intermediate = 768, layers = 4, heads = 4, head_dim = 64;
    int64_t vocabulary = 2048, context = 512;
    int64_t tokenizer_scenes = 4000;
    int64_t scenes = 20000;                      // training scenes with cached features
    int64_t questions_per_kind = 128;            // in validation
    int64_t most_rounds = 5;                     // most questions about one scene
    double dialogue_share = 0.15;                // of scenes: their questions make one conversation
    double caption_share = 0.15;                 // of the language stage's samples
    double cell_loss = 1;                        // of align: weight of the distance to the cells' words
    double look_loss = 0.5;                      // of language and multitask: weight of where attention looks
    std::map<std::string, double> kind_weights;  // how often a kind is asked; absent: 1
    std::map<std::string, double> scene_shares;  // of the scenes, those made for a kind; absent: 0
    // What experiments compare. Projectors: ldpnetv2, ldpnet, mlp2x_gelu; in the trainer alone also linear
    // and ldpnetv2_no_peg.
    std::string projector = "ldpnetv2";
    int64_t pool = 2;            // patches a side that ldpnetv2 averages; others than 2: in the trainer alone
    std::string from = "align";  // of multitask: the stage whose weights it begins with, align or language
  } mini;

  // Warm-up steps of a run of `steps` steps.
  int64_t Warmup(int64_t steps) const;
  // The learning rates' factor of step 0, 1, ..., schedule.steps - 1: up to 1 linearly, then a half cosine
  // down to final_factor (transformers: get_cosine_schedule_with_warmup).
  double Factor(int64_t step) const;
};

// Which part of a model a parameter belongs to, by its official name.
enum class ModelPart { kTower, kProjector, kLanguage };
ModelPart PartOf(const std::string& parameter);

// Does this recipe move the parameter? With LoRA the decoder stands still except for its "lora_" factors.
bool IsTrained(const Recipe& recipe, const std::string& parameter);

}  // namespace mobilevlm::train
