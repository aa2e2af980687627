#include "train/recipe/fields.h"

#include <algorithm>
#include <cmath>

namespace mobilevlm::train {
namespace {

constexpr double kMany = 1e9;   // upper limit of counts
constexpr double kLarge = 1e5;  // of sizes
constexpr double kHighRate = 10;
constexpr double kHighBeta = 0.999999;

const std::vector<std::string> kKinds{"finetune", "mini-tower", "mini-language", "mini-align",
                                      "mini-multitask"};
const std::vector<std::string> kProjectors{"", "ldpnetv2", "ldpnet", "mlp2x_gelu"};
const std::vector<std::string> kMiniProjectors{"ldpnetv2", "ldpnet", "mlp2x_gelu", "linear",
                                               "ldpnetv2_no_peg"};
const std::vector<std::string> kParts{"projector", "language"};
const std::vector<std::string> kWeights{"float32", "bfloat16"};
const std::vector<std::string> kFrozen{"float32", "bfloat16", "q8_0"};
const std::vector<std::string> kProducts{"float32", "bfloat16", "auto"};

template <class... Parts>
void Append(std::vector<Field>& fields, Parts&&... parts) {
  (fields.push_back(std::forward<Parts>(parts)), ...);
}

void AddData(std::vector<Field>& fields, Recipe& recipe) {
  Recipe::Model& model = recipe.model;
  Append(fields, Field{"model.start", &model.start}, Field{"model.vision", &model.vision},
         Field{"model.projector", &model.projector, 0, 0, kProjectors},
         Field{"model.projector_weights", &model.projector_weights},
         Field{"model.train", &model.train, 0, 0, kParts},
         Field{"model.weights", &model.weights, 0, 0, kWeights},
         Field{"model.frozen_weights", &model.frozen_weights, 0, 0, kFrozen},
         Field{"model.products", &model.products, 0, 0, kProducts},
         Field{"model.gradient_checkpointing", &model.gradient_checkpointing});
  Recipe::Data& data = recipe.data;
  Append(fields, Field{"data.annotations", &data.annotations}, Field{"data.shares", &data.shares, 0, kLarge},
         Field{"data.images", &data.images},
         Field{"data.template", &data.chat_template, 0, 0, {"v1", "plain"}},
         Field{"data.image_mode", &data.image_mode, 0, 0, {"pad", "crop"}},
         Field{"data.max_length", &data.max_length, 2, kLarge},
         Field{"data.group_by_modality_length", &data.group_by_modality_length},
         Field{"data.missing_limit", &data.missing_limit, 0, 1},
         Field{"data.loaders", &data.loaders, 1, 1024}, Field{"data.feature_cache", &data.feature_cache});
}

void AddSteps(std::vector<Field>& fields, Recipe& recipe) {
  Recipe::Optimizer& optimizer = recipe.optimizer;
  Append(fields, Field{"optimizer.learning_rate", &optimizer.learning_rate, 0, kHighRate},
         Field{"optimizer.projector_learning_rate", &optimizer.projector_learning_rate, 0, kHighRate},
         Field{"optimizer.weight_decay", &optimizer.weight_decay, 0, kHighRate},
         Field{"optimizer.beta1", &optimizer.beta1, 0, kHighBeta},
         Field{"optimizer.beta2", &optimizer.beta2, 0, kHighBeta},
         Field{"optimizer.epsilon", &optimizer.epsilon, 0, 1},
         Field{"optimizer.clip", &optimizer.clip, 0, kMany});
  Recipe::Schedule& schedule = recipe.schedule;
  Append(fields, Field{"schedule.epochs", &schedule.epochs, 1, kMany},
         Field{"schedule.steps", &schedule.steps, 0, kMany},
         Field{"schedule.batch", &schedule.batch, 1, kMany},
         Field{"schedule.micro_batch", &schedule.micro_batch, 1, kMany},
         Field{"schedule.warmup_ratio", &schedule.warmup_ratio, 0, 1},
         Field{"schedule.warmup_steps", &schedule.warmup_steps, 0, kMany},
         Field{"schedule.warmup_from_zero", &schedule.warmup_from_zero},
         Field{"schedule.final_factor", &schedule.final_factor, 0, 1},
         Field{"schedule.loss_average", &schedule.loss_average, 0, 0, {"token", "rank"}});
  Append(fields, Field{"lora.rank", &recipe.lora.rank, 0, 65536},
         Field{"lora.alpha", &recipe.lora.alpha, 0, kMany},
         Field{"lora.dropout", &recipe.lora.dropout, 0, 0.99});
  Recipe::Run& run = recipe.run;
  Append(fields, Field{"run.seed", &run.seed, 0, kMany}, Field{"run.threads", &run.threads, 0, 1024},
         Field{"run.save_every", &run.save_every, 0, kMany},
         Field{"run.save_minutes", &run.save_minutes, 0, kMany}, Field{"run.keep", &run.keep, 1, kMany},
         Field{"run.log_every", &run.log_every, 1, kMany},
         Field{"run.validate_every", &run.validate_every, 1, kMany},
         Field{"run.validation_samples", &run.validation_samples, 0, kMany},
         Field{"run.samples", &run.samples, 0, 1000});
}

void AddMini(std::vector<Field>& fields, Recipe::Mini& mini) {
  Append(fields, Field{"mini.image_size", &mini.image_size, 2, kLarge},
         Field{"mini.patch_size", &mini.patch_size, 1, kLarge},
         Field{"mini.vision_hidden", &mini.vision_hidden, 1, kLarge},
         Field{"mini.vision_intermediate", &mini.vision_intermediate, 1, kLarge},
         Field{"mini.vision_heads", &mini.vision_heads, 1, kLarge},
         Field{"mini.vision_layers", &mini.vision_layers, 1, kLarge},
         Field{"mini.hidden", &mini.hidden, 1, kLarge},
         Field{"mini.intermediate", &mini.intermediate, 1, kLarge},
         Field{"mini.layers", &mini.layers, 1, kLarge}, Field{"mini.heads", &mini.heads, 1, kLarge},
         Field{"mini.head_dim", &mini.head_dim, 2, kLarge},
         Field{"mini.vocabulary", &mini.vocabulary, 300, kLarge},
         Field{"mini.context", &mini.context, 256, kLarge},
         Field{"mini.tokenizer_scenes", &mini.tokenizer_scenes, 1, kMany},
         Field{"mini.scenes", &mini.scenes, 1, kMany},
         Field{"mini.questions_per_kind", &mini.questions_per_kind, 1, kMany},
         Field{"mini.most_rounds", &mini.most_rounds, 1, kLarge},
         Field{"mini.dialogue_share", &mini.dialogue_share, 0, 1},
         Field{"mini.caption_share", &mini.caption_share, 0, 1},
         Field{"mini.cell_loss", &mini.cell_loss, 0, kMany},
         Field{"mini.look_loss", &mini.look_loss, 0, kMany},
         Field{"mini.kind_weights", &mini.kind_weights, 0, kMany},
         Field{"mini.scene_shares", &mini.scene_shares, 0, 1});
  Append(fields, Field{"mini.projector", &mini.projector, 0, 0, kMiniProjectors},
         Field{"mini.pool", &mini.pool, 1, kLarge},
         Field{"mini.from", &mini.from, 0, 0, {"align", "language"}});
}

Status CheckNumber(const Field& field, double value) {
  if (std::isfinite(value) && value >= field.least && value <= field.most) return {};
  return Fail("{}: wanted {} to {}, found {}", field.key, field.least, field.most, value);
}

Status CheckChoice(const Field& field, const std::string& value) {
  const auto& choices = field.choices;
  if (choices.empty() || std::find(choices.begin(), choices.end(), value) != choices.end()) return {};
  return Fail("{}: wanted one of {}, found \"{}\"", field.key, fmt::join(choices, ", "), value);
}

}  // namespace

std::vector<Field> Fields(Recipe& recipe) {
  std::vector<Field> fields;
  Append(fields, Field{"stage", &recipe.stage}, Field{"kind", &recipe.kind, 0, 0, kKinds});
  AddData(fields, recipe);
  AddSteps(fields, recipe);
  AddMini(fields, recipe.mini);
  return fields;
}

Status CheckField(const Field& field) {
  if (const auto* number = std::get_if<double*>(&field.value)) return CheckNumber(field, **number);
  if (const auto* whole = std::get_if<int64_t*>(&field.value)) {
    return CheckNumber(field, static_cast<double>(**whole));
  }
  if (const auto* text = std::get_if<std::string*>(&field.value)) return CheckChoice(field, **text);
  if (const auto* texts = std::get_if<std::vector<std::string>*>(&field.value)) {
    for (const std::string& text : **texts) MVLM_TRY(CheckChoice(field, text));
  }
  if (const auto* numbers = std::get_if<std::vector<double>*>(&field.value)) {
    for (const double number : **numbers) MVLM_TRY(CheckNumber(field, number));
  }
  if (const auto* table = std::get_if<std::map<std::string, double>*>(&field.value)) {
    for (const auto& [key, number] : **table) MVLM_TRY(CheckNumber(field, number));
  }
  return {};
}

}  // namespace mobilevlm::train
