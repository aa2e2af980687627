#include "train/start_model.h"

#include <optional>

#include "base/check.h"
#include "base/progress.h"
#include "schema/tensors.h"

namespace mobilevlm::train {
namespace {

constexpr int kMostPictures = 8;  // in one sample; longer sequences have no positions

Result<ProjectorType> ParseHfProjector(const std::string& name) {
  for (const ProjectorType type : {ProjectorType::kLdp, ProjectorType::kLdpV2, ProjectorType::kMlp}) {
    if (HfProjectorName(type) == name) return type;
  }
  return Fail("model.projector: no projector '{}'", name);
}

// Where each tensor of the model is found.
class Sources {
 public:
  static Result<Sources> Open(const Recipe& recipe) {
    const Recipe::Model& model = recipe.model;
    MVLM_ASSIGN(HfDirectory start,
                HfDirectory::Open({.directory = model.start, .vision = model.vision, .may_add_tower = true}));
    Sources sources(std::move(start));
    sources.config = sources.start_.config;
    sources.fresh_projector = sources.start_.tower_added;
    if (!sources.config.multimodal && !model.projector.empty()) {
      return Fail("{}: is a LLaMA without a tower: wanted a CLIP directory (--set model.vision=DIR)",
                  model.start);
    }
    if (sources.config.multimodal) MVLM_TRY(sources.ChooseProjector(model));
    if (!model.projector_weights.empty()) {
      MVLM_ASSIGN(sources.projector_, WeightFiles::OpenFile(model.projector_weights));
    }
    return sources;
  }

  // Nothing: it stays as it was initialised.
  Result<std::optional<torch::Tensor>> Read(const TensorSpec& spec) const {
    const bool in_projector = spec.hf_name.starts_with(kHfProjectorPrefix);
    if (in_projector && projector_) return FromFile(*projector_, spec);
    if (in_projector && fresh_projector) return std::optional<torch::Tensor>();
    MVLM_ASSIGN(const SourceTensor source, start_.Require(spec));
    return std::optional<torch::Tensor>(ReadTensor(source));
  }

  const std::string& tokenizer_model() const { return start_.tokenizer_model; }

  HfConfig config;
  bool fresh_projector = false;

 private:
  explicit Sources(HfDirectory start) : start_(std::move(start)) {}

  Status ChooseProjector(const Recipe::Model& model) {
    if (model.projector.empty()) {
      if (!fresh_projector) return {};
      return Fail("model.projector: {} has none, so the type of a fresh one is needed", model.start);
    }
    MVLM_ASSIGN(const ProjectorType type, ParseHfProjector(model.projector));
    fresh_projector = fresh_projector || type != config.projector.type;
    config.projector = {.type = type,
                        .vision_hidden = config.vision.hidden,
                        .hidden = config.llm.hidden,
                        .grid = config.vision.grid()};
    return CheckProjectorConfig(config.projector, model.start);
  }

  static Result<std::optional<torch::Tensor>> FromFile(const WeightFiles& files, const TensorSpec& spec) {
    MVLM_ASSIGN(const NamedTensor* tensor, files.Require(spec.hf_name));
    if (!SameShape(tensor->shape, spec.shape)) {
      return Fail("{}: tensor {}: wanted shape {}, found {}", files.FileOf(*tensor), spec.hf_name,
                  ShapeText(spec.shape), ShapeText(tensor->shape));
    }
    return std::optional<torch::Tensor>(ReadTensor({tensor, &files}));
  }

  HfDirectory start_;
  std::optional<WeightFiles> projector_;
};

std::vector<TensorSpec> AllTensors(const HfConfig& config) {
  std::vector<TensorSpec> specs = LlmTensors(config.llm);
  if (!config.multimodal) return specs;
  for (const auto& more : {ProjectorTensors(config.projector), VisionTensors(config.vision)}) {
    specs.insert(specs.end(), more.begin(), more.end());
  }
  return specs;
}

Status Fill(MobileVlmImpl& model, const HfConfig& config, const Sources& sources) {
  const torch::NoGradGuard no_gradients;
  std::map<std::string, Projection> projections;
  for (auto& [name, projection] : model.projections()) projections.emplace(name + ".weight", projection);
  auto parameters = model.named_parameters();
  const std::vector<TensorSpec> specs = AllTensors(config);
  Progress progress("loading weights", specs.size());
  for (size_t i = 0; i < specs.size(); ++i) {
    MVLM_ASSIGN(const std::optional<torch::Tensor> values, sources.Read(specs[i]));
    progress.Update(i + 1);
    if (!values) continue;
    const auto projection = projections.find(specs[i].hf_name);
    if (projection != projections.end()) {
      projection->second->Fill(*values);
    } else {
      torch::Tensor* parameter = parameters.find(specs[i].hf_name);
      MVLM_CHECK(parameter != nullptr, "the model has no {}", specs[i].hf_name);
      parameter->copy_(values->view(parameter->sizes()));
    }
  }
  return {};
}

}  // namespace

torch::Tensor ReadTensor(const SourceTensor& source) {
  const NamedTensor& stored = *source.stored;
  const auto read = [](const NamedTensor& tensor) {
    torch::Tensor values = torch::empty(std::vector<int64_t>(tensor.shape.begin(), tensor.shape.end()));
    ReadElements(tensor, 0, static_cast<size_t>(values.numel()), values.data_ptr<float>());
    return values;
  };
  torch::Tensor values = read(stored);
  source.files->Release(stored);
  if (source.pair != nullptr)
    values.addmm_(read(*source.pair->b), read(*source.pair->a), 1.0, source.pair->scale);
  return values;
}

MobileVlm MakeModel(const Recipe& recipe, const HfConfig& config, bool initialise) {
  MobileVlmConfig sizes;
  sizes.llm = config.llm;
  if (config.multimodal) {
    sizes.projector = config.projector;
    sizes.vision = config.vision;
    sizes.vision->stored_layers = sizes.vision->used_layers;  // nobody reads the others
    sizes.positions = config.llm.context + kMostPictures * config.projector.tokens();
  }
  const bool still = !IsTrained(recipe, "model.layers.0.mlp.up_proj.weight");
  sizes.matrices = {
      .type = ParseWeightType(still ? recipe.model.frozen_weights : recipe.model.weights),
      .initialise = initialise,
      .still = still,
      .lora = {.rank = recipe.lora.rank, .alpha = recipe.lora.alpha, .dropout = recipe.lora.dropout}};
  sizes.gradient_checkpointing = recipe.model.gradient_checkpointing;
  MobileVlm model(sizes);
  Freeze(*model, recipe);
  return model;
}

void Freeze(MobileVlmImpl& model, const Recipe& recipe) {
  for (auto& item : model.named_parameters()) item.value().requires_grad_(IsTrained(recipe, item.key()));
}

Result<StartModel> LoadStartModel(const Recipe& recipe) {
  MVLM_ASSIGN(const Sources sources, Sources::Open(recipe));
  torch::manual_seed(static_cast<uint64_t>(recipe.run.seed));
  StartModel start;
  start.config = sources.config;
  start.config.vision.stored_layers = start.config.vision.used_layers;
  start.tokenizer_model = sources.tokenizer_model();
  start.model = MakeModel(recipe, start.config, /*initialise=*/false);
  MVLM_TRY(Fill(*start.model, start.config, sources));
  return start;
}

Result<Tokenizer> MakeTokenizer(const std::string& tokenizer_model, const std::string& name) {
  auto vocab = ParseSentencePieceModel(tokenizer_model);
  if (!vocab) return Context(vocab.error(), "{}", name);
  return Tokenizer::Create(std::move(*vocab));
}

}  // namespace mobilevlm::train
