// The heads that supervise the tower in stage 0. They are left behind when the model is exported.
#pragma once

#include <torch/torch.h>

#include "train/data/tower_targets.h"
#include "train/modules/clip.h"
#include "train/parallel/data_parallel.h"

namespace mobilevlm::train {

class TowerHeadsImpl : public torch::nn::Module {
 public:
  TowerHeadsImpl(int64_t hidden, const CoverClasses& classes);

  struct Output {
    torch::Tensor cover;    // [rows, classes]
    torch::Tensor colour;   // [rows, colours + 1]
    torch::Tensor centre;   // [rows, classes]
    torch::Tensor value;    // [rows, 10]
    torch::Tensor offsets;  // [rows, 4]
    torch::Tensor shares;   // [rows]
  };
  Output forward(const torch::Tensor& features);  // [batch, patches, hidden]

 private:
  torch::nn::LayerNorm norm_;
  torch::nn::Linear cover_, colour_, centre_, value_, offsets_, shares_;
};
TORCH_MODULE(TowerHeads);

// A tower and its heads; its named_parameters() are "tower.*" and "heads.*".
class SupervisedTowerImpl : public torch::nn::Module {
 public:
  SupervisedTowerImpl(const VisionConfig& config, const CoverClasses& classes);

  // Parts of the loss: cover, colour, centre, value, offsets, shares.
  MicroLoss Loss(const TowerBatch& batch);

  // Counts for validation: right and asked, per question.
  struct Accuracy {
    double cover_right = 0, cover_asked = 0;            // patches that something covers
    double background_right = 0, background_asked = 0;  // patches that nothing covers
    double colour_right = 0, colour_asked = 0;          // patches whose thing has a colour
    double centre_right = 0, centre_asked = 0;          // patches that hold a centre
    double character_right = 0, character_asked = 0;    // patches that a character covers
    double value_right = 0, value_asked = 0;            // patches that a bar covers
    double number_right = 0, number_asked = 0;          // pictures, their objects and shapes
    void Add(const Accuracy& other);
  };
  Accuracy Measure(const TowerBatch& batch);

  ClipVisionTower tower() { return tower_; }

 private:
  CoverClasses classes_;
  ClipVisionTower tower_;
  TowerHeads heads_;
};
TORCH_MODULE(SupervisedTower);

}  // namespace mobilevlm::train
