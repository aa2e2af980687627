// The whole model for training (mobilevlm.py: MobileLlamaForCausalLM): tower, projector, decoder.
//
// named_parameters() is the official state dict (with LoRA: and its factors). Tower and projector may be left
// out: the language stage has neither, and the stages with cached features have no tower.
#pragma once

#include <torch/torch.h>

#include <optional>
#include <vector>

#include "schema/config.h"
#include "train/data/token_batch.h"
#include "train/modules/clip.h"
#include "train/modules/llama.h"
#include "train/modules/projector.h"
#include "train/parallel/data_parallel.h"

namespace mobilevlm::train {

struct MobileVlmConfig {
  LlmConfig llm = {};
  std::optional<ProjectorPlan> projector = {};
  std::optional<VisionConfig> vision = {};
  int cells = 0;         // places for pictures told in words; only the language and align stages have them
  double cell_loss = 0;  // share of the distance to the told cells in the loss (see Loss)
  double look_loss = 0;  // share of where attention should look
  int positions = 0;     // longest sequence; 0: the decoder's context
  // Of the decoder's blocks. Embedding and lm_head have the same type (Q8_0: bfloat16) and no factors; norms,
  // projector and tower are float32.
  MatrixOptions matrices = {};
  bool gradient_checkpointing = false;  // block by block
};

class MobileVlmImpl : public torch::nn::Module {
 public:
  explicit MobileVlmImpl(const MobileVlmConfig& config);

  // The places of the pictures, [visual tokens of all samples, hidden], undefined without any: the projector
  // over the features, or for each cell the sum of its words' embeddings and of its place's own, which stands
  // for what a vision tower's features say about where they are.
  torch::Tensor Visual(const MicroBatch& batch);
  torch::Tensor ToldCells(const MicroBatch& batch);
  // Token embeddings with the visual rows spliced in, through all blocks and the last norm:
  // [batch * tokens, hidden].
  // `look_loss`, if given, becomes the mean over the layers that text.looks speaks of, or stays undefined.
  torch::Tensor Hidden(const TokenBatch& text, const torch::Tensor& visual,
                       torch::Tensor* look_loss = nullptr);
  // The first step of Hidden: [batch * tokens, hidden]; of ids alone: [ids, hidden].
  torch::Tensor Embedded(const TokenBatch& text, const torch::Tensor& visual);
  torch::Tensor Embedded(const torch::Tensor& ids);
  // The last rows of Hidden for one sequence, row by row or several at once: `rows` [rows, hidden] are
  // embedded and follow those that `past`, empty at first, holds the keys and values of, block by block.
  torch::Tensor HiddenAfter(std::vector<KeyValues>& past, const torch::Tensor& rows);
  torch::Tensor Logits(const torch::Tensor& hidden);  // [rows, vocab]

  // Mean cross entropy over the supervised ids; weight = their number. A batch with both features and cells
  // (align) adds cell_loss times |projected - told|^2 / |told|^2: the projector is shown, cell by cell, the
  // vectors that the decoder has learned to read in the language stage, which themselves stay as they are.
  // A batch that says where attention should look adds look_loss times how far it is from looking there.
  // Parts: accuracy per token, the relative distance, the attention's loss (0 without).
  MicroLoss Loss(const MicroBatch& batch);
  // For each sample: are all its supervised ids the most likely ones given what comes before? That is
  // what greedy decoding would print.
  std::vector<uint8_t> ExactMatch(const MicroBatch& batch);

  ClipVisionTower& tower() { return tower_; }
  // The matrices that may stand still in a type that is no parameter's (Q8_0), by name
  // ("model.layers.0...q_proj").
  std::vector<std::pair<std::string, Projection>> projections() const;
  const MobileVlmConfig& config() const { return config_; }
  // Of the longest sequence.
  int positions() const { return config_.positions > 0 ? config_.positions : config_.llm.context; }

 private:
  torch::Tensor RunBlock(LlamaBlockImpl& block, const torch::Tensor& x, const Sequences& sequences,
                         const std::vector<Looks>* looks, torch::Tensor* look_loss);
  // Of forward and backward, as they are carried out: padding and masked pairs included.
  double StepOperations(const MicroBatch& batch) const;

  MobileVlmConfig config_;
  RopeTables rope_;  // for the whole context
  Projection embed_tokens_;
  torch::nn::ModuleList layers_;
  RmsNorm norm_;
  Projection lm_head_;
  torch::Tensor cell_places_;  // [cells, hidden]
  ClipVisionTower tower_{nullptr};
  std::shared_ptr<Projector> projector_;
};
TORCH_MODULE(MobileVlm);

}  // namespace mobilevlm::train
