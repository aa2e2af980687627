#include "train/modules/mobilevlm.h"

#include "base/check.h"
#include "costs/training.h"
#include "train/modules/functional.h"

namespace mobilevlm::train {

MobileVlmImpl::MobileVlmImpl(const MobileVlmConfig& config)
    : config_(config),
      rope_(MakeRopeTables(config.llm.context, config.llm.head_dim, config.llm.rope_base)),
      embed_tokens_(config.llm.vocab, config.llm.hidden),
      norm_(config.llm.hidden, config.llm.rms_eps),
      lm_head_(torch::nn::LinearOptions(config.llm.hidden, config.llm.vocab).bias(false)) {
  constexpr double kInitStd = 0.02;
  {
    torch::NoGradGuard guard;
    embed_tokens_->weight.normal_(0.0, kInitStd);
    // Not tied, but equal at the start: a model that answers with words it sees learns to copy far sooner.
    lm_head_->weight.copy_(embed_tokens_->weight);
  }
  if (config.cells > 0) {
    cell_places_ =
        register_parameter("cell_places", kInitStd * torch::randn({config.cells, config.llm.hidden}));
  }
  for (int i = 0; i < config.llm.layers; ++i) layers_->push_back(LlamaBlock(config.llm));
  const auto model = std::make_shared<torch::nn::Module>("MobileLlamaModel");
  register_module("model", model);
  model->register_module("embed_tokens", embed_tokens_);
  model->register_module("layers", layers_);
  model->register_module("norm", norm_);
  register_module("lm_head", lm_head_);
  if (config.vision) {
    tower_ = ClipVisionTower(*config.vision);
    model->register_module("vision_tower", tower_);
  }
  if (config.projector) {
    projector_ = LdpNetV2Projector(*config.projector);
    model->register_module("mm_projector", projector_);
  }
}

torch::Tensor MobileVlmImpl::Visual(const MicroBatch& batch) {
  if (batch.features.defined()) return projector_->forward(batch.features).view({-1, config_.llm.hidden});
  return ToldCells(batch);
}

torch::Tensor MobileVlmImpl::ToldCells(const MicroBatch& batch) {
  constexpr int64_t kSum = 0;
  const torch::Tensor words =
      std::get<0>(torch::embedding_bag(embed_tokens_->weight, batch.cell_ids, batch.cell_offsets,
                                       /*scale_grad_by_freq=*/false, kSum));
  return words + cell_places_.repeat({words.size(0) / config_.cells, 1});
}

torch::Tensor MobileVlmImpl::Hidden(const TokenBatch& text, const torch::Tensor& visual,
                                    torch::Tensor* look_loss) {
  MVLM_CHECK(text.tokens <= config_.llm.context, "{} tokens in a context of {}", text.tokens,
             config_.llm.context);
  torch::Tensor x = torch::embedding(embed_tokens_->weight, text.ids);
  if (text.image_rows.numel() > 0) x = x.index_copy(0, text.image_rows, visual);
  Sequences sequences{
      text.batch, {rope_.cos.slice(0, 0, text.tokens), rope_.sin.slice(0, 0, text.tokens)}, text.mask};
  if (text.positions.defined()) {
    const auto at = [&](const torch::Tensor& table) {
      return table.index_select(0, text.positions).view({text.batch, 1, text.tokens, table.size(1)});
    };
    sequences.rope = {at(rope_.cos), at(rope_.sin)};
  }
  std::vector<torch::Tensor> losses;
  for (size_t i = 0; i < layers_->size(); ++i) {
    const auto looks = text.looks.find(static_cast<int>(i));
    const bool looked_at = look_loss != nullptr && looks != text.looks.end();
    torch::Tensor loss;
    x = layers_->ptr<LlamaBlockImpl>(i)->forward(x, sequences, looked_at ? &looks->second : nullptr, &loss);
    if (looked_at) losses.push_back(loss);
  }
  if (!losses.empty()) *look_loss = torch::stack(losses).mean();
  return norm_->forward(x);
}

torch::Tensor MobileVlmImpl::Logits(const torch::Tensor& hidden) {
  // In float32 always: the number of rows differs from batch to batch, and oneDNN's bfloat16 products would
  // compile a kernel for each (see data/token_batch.cc).
  const Bfloat16Guard float32(false);
  return Linear(hidden, lm_head_->weight);
}

double MobileVlmImpl::StepOperations(const MicroBatch& batch) const {
  const double sequences = static_cast<double>(batch.text.batch),
               tokens = static_cast<double>(batch.text.tokens);
  const double forward = costs::DecoderForward(config_.llm, sequences * tokens, sequences * tokens * tokens,
                                               static_cast<double>(batch.text.targets.numel()));
  if (!batch.features.defined()) return 3 * forward;
  const ProjectorConfig& projector = *config_.projector;
  return 3 * forward + 3 * costs::ProjectorForward(projector, sequences) -
         costs::ProjectorFirstProduct(projector, sequences);
}

MicroLoss MobileVlmImpl::Loss(const MicroBatch& batch) {
  const torch::Tensor visual = Visual(batch);
  torch::Tensor look_loss;
  const torch::Tensor hidden = Hidden(batch.text, visual, config_.look_loss > 0 ? &look_loss : nullptr);
  const torch::Tensor logits = Logits(hidden.index_select(0, batch.text.source_rows));
  MicroLoss result;
  result.loss = torch::nn::functional::cross_entropy(logits, batch.text.targets);
  result.weight = static_cast<double>(batch.text.targets.numel());
  result.flops = StepOperations(batch);
  result.parts = {logits.detach().argmax(1).eq(batch.text.targets).to(torch::kFloat32).mean().item<double>(),
                  0.0, 0.0};
  if (batch.features.defined() && batch.cell_ids.defined()) {
    const torch::Tensor told = ToldCells(batch).detach();
    const torch::Tensor distance = (visual - told).square().sum() / told.square().sum();
    result.loss = result.loss + config_.cell_loss * distance;
    result.parts[1] = distance.item<double>();
  }
  if (look_loss.defined()) {
    result.loss = result.loss + config_.look_loss * look_loss;
    result.parts[2] = look_loss.item<double>();
  }
  return result;
}

std::vector<uint8_t> MobileVlmImpl::ExactMatch(const MicroBatch& batch) {
  const torch::Tensor hidden = Hidden(batch.text, Visual(batch));
  const torch::Tensor logits = Logits(hidden.index_select(0, batch.text.source_rows));
  const torch::Tensor right = logits.argmax(1).eq(batch.text.targets);
  std::vector<uint8_t> match(static_cast<size_t>(batch.text.batch), 1);
  for (size_t i = 0; i < batch.text.samples.size(); ++i) {
    if (!right[static_cast<int64_t>(i)].item<bool>()) match[static_cast<size_t>(batch.text.samples[i])] = 0;
  }
  return match;
}

}  // namespace mobilevlm::train
