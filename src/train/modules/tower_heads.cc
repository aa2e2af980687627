#include "train/modules/tower_heads.h"

#include "costs/training.h"

namespace mobilevlm::train {
namespace {

namespace F = torch::nn::functional;

// How much more a rare patch counts than a background one.
constexpr float kForegroundWeight = 4.0f;
constexpr float kCentreWeight = 8.0f;
constexpr float kBarWeight = 4.0f, kNoBarWeight = 0.25f;
// Shares of the losses in the sum.
constexpr double kCover = 1.0, kColour = 0.5, kCentre = 1.0, kValue = 0.5, kOffsets = 1.0, kShares = 1.0;
// Of the shares' own: what a picture's number is off, beside the squares of what its patches are.
constexpr double kNumber = 0.3;
// One step of the optimizer moves the shares of all patches together, and their sum by as many times as much.
constexpr double kShareUnit = 1.0 / 16;

torch::Tensor CrossEntropy(const torch::Tensor& logits, const torch::Tensor& target,
                           const torch::Tensor& class_weights) {
  return F::cross_entropy(logits, target, F::CrossEntropyFuncOptions().weight(class_weights));
}

// One weight for the ordinary class, another for all others.
torch::Tensor ClassWeights(int classes, int ordinary, float ordinary_weight, float others) {
  torch::Tensor weights = torch::full({classes}, others);
  weights[ordinary] = ordinary_weight;
  return weights;
}

std::pair<double, double> Right(const torch::Tensor& logits, const torch::Tensor& target,
                                const torch::Tensor& asked) {
  const torch::Tensor right = logits.argmax(1).eq(target).logical_and(asked);
  return {right.sum().item<double>(), asked.sum().item<double>()};
}

}  // namespace

TowerHeadsImpl::TowerHeadsImpl(int64_t hidden, const CoverClasses& classes)
    : norm_(register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({hidden})))),
      cover_(register_module("cover", torch::nn::Linear(hidden, classes.count()))),
      colour_(register_module("colour", torch::nn::Linear(hidden, classes.colours + 1))),
      centre_(register_module("centre", torch::nn::Linear(hidden, classes.count()))),
      value_(register_module("value", torch::nn::Linear(hidden, kBarValues))),
      offsets_(register_module("offsets", torch::nn::Linear(hidden, 4))),
      shares_(register_module("shares", torch::nn::Linear(hidden, 1))) {}

TowerHeadsImpl::Output TowerHeadsImpl::forward(const torch::Tensor& features) {
  const torch::Tensor x = norm_->forward(features.reshape({-1, features.size(2)}));
  return {cover_->forward(x), colour_->forward(x),  centre_->forward(x),
          value_->forward(x), offsets_->forward(x), kShareUnit * shares_->forward(x).squeeze(1)};
}

SupervisedTowerImpl::SupervisedTowerImpl(const VisionConfig& config, const CoverClasses& classes)
    : classes_(classes),
      tower_(register_module("tower", ClipVisionTower(config))),
      heads_(register_module("heads", TowerHeads(config.hidden, classes))) {}

MicroLoss SupervisedTowerImpl::Loss(const TowerBatch& batch) {
  const TowerHeadsImpl::Output out = heads_->forward(tower_->forward(batch.pixels));
  const int background = classes_.background();
  const torch::Tensor foreground = batch.cover.ne(background);

  const torch::Tensor cover = CrossEntropy(
      out.cover, batch.cover, ClassWeights(classes_.count(), background, 1.0f, kForegroundWeight));
  const torch::Tensor colour =
      CrossEntropy(out.colour, batch.colour,
                   ClassWeights(classes_.colours + 1, classes_.no_colour(), 1.0f, kForegroundWeight));
  const torch::Tensor centre =
      CrossEntropy(out.centre, batch.centre, ClassWeights(classes_.count(), background, 1.0f, kCentreWeight));
  const torch::Tensor value =
      CrossEntropy(out.value, batch.value, ClassWeights(kBarValues, 0, kNoBarWeight, kBarWeight));
  const torch::Tensor mask = foreground.to(torch::kFloat32).unsqueeze(1);
  const torch::Tensor offsets =
      ((out.offsets - batch.offsets).abs() * mask).sum() / (4.0 * mask.sum().clamp_min(1.0));

  const torch::Tensor off = (out.shares - batch.shares).view({batch.batch(), -1});
  const torch::Tensor number_off = off.sum(1);
  const torch::Tensor shares =
      off.square().sum(1).mean() + kNumber * F::smooth_l1_loss(number_off, torch::zeros_like(number_off));

  MicroLoss result;
  // The patch embedding needs no gradient of its pixels.
  const VisionConfig& vision = tower_->config();
  const double pictures = static_cast<double>(batch.batch());
  result.flops = 3 * costs::TowerForward(vision, pictures) - pictures * 2.0 * vision.patches() * 3 *
                                                                 vision.patch_size * vision.patch_size *
                                                                 vision.hidden;
  result.loss = kCover * cover + kColour * colour + kCentre * centre + kValue * value + kOffsets * offsets +
                kShares * shares;
  result.weight = static_cast<double>(batch.batch());
  for (const torch::Tensor& part : {cover, colour, centre, value, offsets, shares}) {
    result.parts.push_back(part.item<double>());
  }
  return result;
}

void SupervisedTowerImpl::Accuracy::Add(const Accuracy& other) {
  cover_right += other.cover_right, cover_asked += other.cover_asked;
  background_right += other.background_right, background_asked += other.background_asked;
  colour_right += other.colour_right, colour_asked += other.colour_asked;
  centre_right += other.centre_right, centre_asked += other.centre_asked;
  character_right += other.character_right, character_asked += other.character_asked;
  value_right += other.value_right, value_asked += other.value_asked;
  number_right += other.number_right, number_asked += other.number_asked;
}

SupervisedTowerImpl::Accuracy SupervisedTowerImpl::Measure(const TowerBatch& batch) {
  const TowerHeadsImpl::Output out = heads_->forward(tower_->forward(batch.pixels));
  const int background = classes_.background();
  const torch::Tensor character =
      batch.cover.ge(classes_.objects + classes_.shapes).logical_and(batch.cover.lt(classes_.bar()));
  Accuracy a;
  std::tie(a.cover_right, a.cover_asked) = Right(out.cover, batch.cover, batch.cover.ne(background));
  std::tie(a.background_right, a.background_asked) =
      Right(out.cover, batch.cover, batch.cover.eq(background));
  std::tie(a.colour_right, a.colour_asked) =
      Right(out.colour, batch.colour, batch.colour.ne(classes_.no_colour()));
  std::tie(a.centre_right, a.centre_asked) = Right(out.centre, batch.centre, batch.centre.ne(background));
  std::tie(a.character_right, a.character_asked) = Right(out.cover, batch.cover, character);
  std::tie(a.value_right, a.value_asked) = Right(out.value, batch.value, batch.value.ne(0));
  const torch::Tensor number = batch.shares.view({batch.batch(), -1}).sum(1).round(),
                      found = out.shares.view({batch.batch(), -1}).sum(1).round();
  const torch::Tensor any = number.gt(0);
  a.number_right = found.eq(number).logical_and(any).sum().item<double>();
  a.number_asked = any.sum().item<double>();
  return a;
}

}  // namespace mobilevlm::train
