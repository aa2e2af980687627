#include "train/modules/mobilevlm.h"

#include <cmath>

#include "base/check.h"
#include "costs/training.h"
#include "train/modules/functional.h"
#include "train/modules/recompute.h"

namespace mobilevlm::train {
namespace {

// Of the embedding and lm_head.
MatrixOptions TableOptions(const MatrixOptions& matrices) {
  return {.type = matrices.type == WeightType::kQ8_0 ? WeightType::kBFloat16 : matrices.type,
          .initialise = false,
          .still = matrices.still};
}

}  // namespace

MobileVlmImpl::MobileVlmImpl(const MobileVlmConfig& config)
    : config_(config),
      rope_(MakeRopeTables(PaddedLength(positions()), config.llm.head_dim, config.llm.rope_base)),
      embed_tokens_(config.llm.hidden, config.llm.vocab, TableOptions(config.matrices)),
      norm_(config.llm.hidden, config.llm.rms_eps),
      lm_head_(config.llm.hidden, config.llm.vocab, TableOptions(config.matrices)) {
  if (config.matrices.initialise) {
    const torch::NoGradGuard no_gradients;
    // The draws of nn::Embedding and nn::Linear come first, so that a seed means what it always meant.
    torch::Tensor table = embed_tokens_->Weight(), head = lm_head_->Weight();
    table.normal_();
    torch::nn::init::kaiming_uniform_(head, std::sqrt(5.0));
    table.normal_(0.0, kInitStd);
    // Not tied, but equal at the start: a model that answers with words it sees learns to copy far sooner.
    head.copy_(table);
  }
  if (config.cells > 0) {
    cell_places_ =
        register_parameter("cell_places", kInitStd * torch::randn({config.cells, config.llm.hidden}));
  }
  for (int i = 0; i < config.llm.layers; ++i) layers_->push_back(LlamaBlock(config.llm, config.matrices));
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
    projector_ = model->register_module("mm_projector", MakeProjector(*config.projector));
  }
  uint64_t number = 0;
  for (auto& [name, projection] : projections()) projection->Number(number++);
}

torch::Tensor MobileVlmImpl::Visual(const MicroBatch& batch) {
  if (batch.features.defined()) return projector_->forward(batch.features).view({-1, config_.llm.hidden});
  return batch.cell_ids.defined() ? ToldCells(batch) : torch::Tensor();
}

torch::Tensor MobileVlmImpl::ToldCells(const MicroBatch& batch) {
  constexpr int64_t kSum = 0;
  const torch::Tensor words =
      std::get<0>(torch::embedding_bag(embed_tokens_->Weight(), batch.cell_ids, batch.cell_offsets,
                                       /*scale_grad_by_freq=*/false, kSum));
  return words + cell_places_.repeat({words.size(0) / config_.cells, 1});
}

torch::Tensor MobileVlmImpl::Embedded(const TokenBatch& text, const torch::Tensor& visual) {
  const torch::Tensor x = Embedded(text.ids);
  return text.image_rows.numel() > 0 ? x.index_copy(0, text.image_rows, visual) : x;
}

torch::Tensor MobileVlmImpl::Embedded(const torch::Tensor& ids) {
  return torch::embedding(embed_tokens_->Weight(), ids).to(torch::kFloat32);
}

torch::Tensor MobileVlmImpl::HiddenAfter(std::vector<KeyValues>& past, const torch::Tensor& rows) {
  const int64_t begin = past.empty() ? 0 : past.front().keys.size(1), end = begin + rows.size(0);
  MVLM_CHECK(end <= rope_.cos.size(0), "{} tokens, room for {}", end, rope_.cos.size(0));
  past.resize(layers_->size());
  Sequences sequences{.batch = 1, .rope = {rope_.cos.slice(0, begin, end), rope_.sin.slice(0, begin, end)}};
  torch::Tensor x = rows;
  for (size_t i = 0; i < layers_->size(); ++i) {
    sequences.past = &past[i];
    x = layers_->ptr<LlamaBlockImpl>(i)->forward(x, sequences);
  }
  return norm_->forward(x);
}

torch::Tensor MobileVlmImpl::Hidden(const TokenBatch& text, const torch::Tensor& visual,
                                    torch::Tensor* look_loss) {
  MVLM_CHECK(text.tokens <= rope_.cos.size(0), "{} tokens, room for {}", text.tokens, rope_.cos.size(0));
  torch::Tensor x = Embedded(text, visual);
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
    x = RunBlock(*layers_->ptr<LlamaBlockImpl>(i), x, sequences, looked_at ? &looks->second : nullptr, &loss);
    if (loss.defined()) losses.push_back(loss);
  }
  if (!losses.empty()) *look_loss = torch::stack(losses).mean();
  return norm_->forward(x);
}

torch::Tensor MobileVlmImpl::RunBlock(LlamaBlockImpl& block, const torch::Tensor& x,
                                      const Sequences& sequences, const std::vector<Looks>* looks,
                                      torch::Tensor* look_loss) {
  if (!config_.gradient_checkpointing || looks != nullptr)
    return block.forward(x, sequences, looks, look_loss);
  torch::autograd::variable_list trained;
  for (const torch::Tensor& parameter : block.parameters()) {
    if (parameter.requires_grad()) trained.push_back(parameter);
  }
  return Recomputed(x, trained, [&block, sequences](const torch::Tensor& input) {
    return block.forward(input, sequences);
  });
}

std::vector<std::pair<std::string, Projection>> MobileVlmImpl::projections() const {
  std::vector<std::pair<std::string, Projection>> found;
  for (const auto& item : named_modules({}, /*include_self=*/false)) {
    if (auto projection = std::dynamic_pointer_cast<ProjectionImpl>(item.value())) {
      found.emplace_back(item.key(), Projection(projection));
    }
  }
  return found;
}

torch::Tensor MobileVlmImpl::Logits(const torch::Tensor& hidden) {
  // In float32 always: the number of rows differs from batch to batch, and oneDNN's bfloat16 products would
  // compile a kernel for each (see data/token_batch.cc).
  const Bfloat16Guard float32(false);
  return Linear(hidden, lm_head_->Weight());
}

double MobileVlmImpl::StepOperations(const MicroBatch& batch) const {
  const double sequences = static_cast<double>(batch.text.batch),
               tokens = static_cast<double>(batch.text.tokens);
  const double forward = costs::DecoderForward(config_.llm, sequences * tokens, sequences * tokens * tokens,
                                               static_cast<double>(batch.text.targets.numel()));
  // A decoder that stands still needs no gradients of its matrices.
  const double decoder = (config_.matrices.still ? 2 : 3) * forward;
  if (!batch.features.defined()) return decoder;
  const ProjectorPlan& projector = *config_.projector;
  const double pictures = static_cast<double>(batch.features.size(0));
  return decoder + 3 * projector.ForwardOperations(pictures) - projector.FirstProductOperations(pictures);
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
