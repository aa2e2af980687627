#include "synth/hf_directory_writer.h"

#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/check.h"
#include "base/directories.h"
#include "checkpoint/safetensors.h"
#include "synth/plan.h"
#include "synth/torch_writer.h"
#include "synth/vocabulary.h"
#include "text/sentencepiece_writer.h"

namespace mobilevlm {
namespace {

using Json = nlohmann::json;  // sorts keys, as the official files are

constexpr int kUnusedBlocks = 1;
constexpr std::string_view kClipName = "openai/clip-vit-large-patch14-336";

bool IsNamedClip(const VisionConfig& c) {
  return c.hidden == 1024 && c.intermediate == 4096 && c.heads == 16 && c.image_size == 336 &&
         c.patch_size == 14 && c.used_layers == 23;
}

// 1e-6 as 1e-06, not as its float neighbour.
double Decimal(float value) { return std::stod(fmt::format("{}", value)); }

std::string_view TorchName(DType type) {
  return type == DType::kF32 ? "float32" : type == DType::kF16 ? "float16" : "bfloat16";
}

// That which saved the official checkpoint. 4.31 stored rotary frequencies, 4.33 does not any more.
std::string_view TransformersVersion(const ModelSize& size) {
  return size.name == "7b" ? "4.31.0" : "4.33.1";
}

// What lit-gpt left in the 3B's config.json. n_head and n_query_groups are wrong there, too.
void AddDecoys(Json& json, const LlmConfig& llm) {
  json["block_size"] = llm.context;
  json["n_embd"] = llm.hidden;
  json["n_head"] = 16;
  json["n_layer"] = llm.layers;
  json["n_query_groups"] = 16;
  json["norm_eps"] = Decimal(llm.rms_eps);
  json["padded_vocab_size"] = llm.vocab;
  json["rotary_percentage"] = 1.0;
}

Json Index(const std::vector<std::vector<StreamedTensor>>& shards, const std::vector<std::string>& names,
           uint64_t total) {
  std::map<std::string, std::string> places;
  for (size_t i = 0; i < shards.size(); ++i) {
    for (const StreamedTensor& tensor : shards[i]) places[tensor.name] = names[i];
  }
  return {{"metadata", {{"total_size", total}}}, {"weight_map", places}};
}

// The first of two shards takes what fits into 10 GB, as transformers cuts them, or 70 % of a smaller model.
size_t FirstShard(const std::vector<PlannedTensor>& plan, uint64_t total) {
  constexpr uint64_t kLargest = 10'000'000'000;
  const uint64_t limit = std::min(kLargest, total / 10 * 7);
  uint64_t bytes = 0;
  size_t count = 0;
  while (count < plan.size() && bytes + plan[count].bytes() <= limit) bytes += plan[count++].bytes();
  return count;
}

Status WriteWeights(const SynthOptions& options, const std::vector<PlannedTensor>& plan) {
  const bool torch = options.layout == SynthLayout::kHfBin;
  const std::string stem = torch ? "pytorch_model" : "model";
  const std::string extension = torch ? "bin" : "safetensors";
  WrittenWeights written{.progress = options.progress, .total = BytesOf(plan)};
  RandomWeights weights(options.seed, options.threads);
  PlannedWeights planned(weights, written);

  const size_t cut = options.shards == 1 ? plan.size() : FirstShard(plan, written.total);
  std::vector<std::vector<StreamedTensor>> shards(static_cast<size_t>(options.shards));
  for (size_t i = 0; i < plan.size(); ++i) {
    shards[i < cut ? 0 : 1].push_back(
        {plan[i].spec.hf_name, plan[i].type, plan[i].spec.shape,
         [&planned, &plan, i](const auto& sink) { return planned.Stream(plan[i], sink); }});
  }
  std::vector<std::string> names;
  for (size_t i = 0; i < shards.size(); ++i) {
    names.push_back(shards.size() == 1
                        ? fmt::format("{}.{}", stem, extension)
                        : fmt::format("{}-{:05}-of-{:05}.{}", stem, i + 1, shards.size(), extension));
    const std::string path = options.out_dir + "/" + names.back();
    MVLM_TRY(torch ? WriteTorchFile(path, shards[i]) : WriteSafetensors(path, shards[i], {{"format", "pt"}}));
  }
  if (shards.size() == 1) return {};
  return WriteFileAtomically(fmt::format("{}/{}.{}.index.json", options.out_dir, stem, extension),
                             Index(shards, names, written.total).dump(2) + "\n");
}

}  // namespace

std::vector<TensorSpec> OfficialTensors(const ModelSize& size) {
  std::vector<TensorSpec> specs = LlmTensors(size.llm);
  const TensorSpec output = std::move(specs.back());
  specs.pop_back();
  if (size.name == "7b") {
    for (int i = 0; i < size.llm.layers; ++i) {
      specs.push_back({"",
                       fmt::format("model.layers.{}.self_attn.rotary_emb.inv_freq", i),
                       {static_cast<uint64_t>(size.llm.head_dim) / 2},
                       TensorStorage::kFloat});
    }
  }
  VisionConfig vision = size.vision;
  vision.stored_layers = vision.used_layers += kUnusedBlocks;
  for (TensorSpec& spec : VisionTensors(vision)) specs.push_back(std::move(spec));
  for (const char* part : {"weight", "bias"}) {
    specs.push_back({"",
                     fmt::format("{}post_layernorm.{}", kHfVisionPrefix, part),
                     {static_cast<uint64_t>(vision.hidden)},
                     TensorStorage::kFloat});
  }
  for (TensorSpec& spec : ProjectorTensors(size.projector())) {
    spec.shape = spec.hf_shape();
    specs.push_back(std::move(spec));
  }
  specs.push_back(output);
  return specs;
}

std::string OfficialConfig(const ModelSize& size, DType type) {
  const LlmConfig& llm = size.llm;
  const VisionConfig& vision = size.vision;
  Json json = {
      {"architectures", {"MobileLlamaForCausalLM"}},
      {"bos_token_id", 1},
      {"eos_token_id", 2},
      {"freeze_mm_mlp_adapter", false},
      {"hidden_act", "silu"},
      {"hidden_size", llm.hidden},
      {"image_aspect_ratio", "pad"},
      {"image_grid_pinpoints", nullptr},
      {"initializer_range", 0.02},
      {"intermediate_size", llm.intermediate},
      {"max_position_embeddings", llm.context},
      {"mm_hidden_size", vision.hidden},
      {"mm_projector_type", HfProjectorName(size.projector_type)},
      {"mm_use_im_patch_token", false},
      {"mm_use_im_start_end", false},
      {"mm_vision_select_feature", "patch"},
      {"mm_vision_select_layer", -1 - kUnusedBlocks},
      {"mm_vision_tower", IsNamedClip(vision) ? kClipName : "random"},
      {"model_type", "mobilevlm"},
      {"num_attention_heads", llm.heads},
      {"num_hidden_layers", llm.layers},
      {"num_key_value_heads", llm.kv_heads},
      {"pad_token_id", 0},
      {"pretraining_tp", 1},
      {"rms_norm_eps", Decimal(llm.rms_eps)},
      {"rope_scaling", nullptr},
      {"rope_theta", llm.rope_base},
      {"tie_word_embeddings", false},
      {"torch_dtype", TorchName(type)},
      {"tune_mm_mlp_adapter", false},
      {"use_cache", true},
      {"use_mm_proj", true},
      {"vision_tower_type", "clip"},
      {"transformers_version", TransformersVersion(size)},
      {"vocab_size", llm.vocab},
  };
  if (size.projector_type == ProjectorType::kLdpV2) json["mm_projector_lr"] = nullptr;  // not in V1
  if (size.name == "1.7b" || size.name == "3b") json["max_sequence_length"] = llm.context;
  if (size.name == "3b") AddDecoys(json, llm);
  if (!IsNamedClip(vision)) {
    json["vision_config"] = {{"hidden_size", vision.hidden},
                             {"num_hidden_layers", vision.used_layers + kUnusedBlocks},
                             {"num_attention_heads", vision.heads},
                             {"intermediate_size", vision.intermediate},
                             {"image_size", vision.image_size},
                             {"patch_size", vision.patch_size},
                             {"layer_norm_eps", Decimal(vision.layer_norm_eps)},
                             {"hidden_act", "quick_gelu"}};
  }
  return json.dump(2) + "\n";
}

Status SynthesizeHfDirectory(const SynthOptions& options) {
  const ModelSize& size = options.size;
  const DType type = options.text_type;
  MVLM_CHECK(options.shards == 1 || options.shards == 2, "{} shards", options.shards);
  if (IsQuantised(type)) {
    return Fail("a Hugging Face directory has no {}: wanted f32, f16 or bf16", DTypeName(type));
  }
  MVLM_ASSIGN(auto plan, PlanTensors(OfficialTensors(size), type, size.llm.layers));
  for (PlannedTensor& tensor : plan) tensor.type = type;  // of everything, norms included
  MVLM_TRY(MakeDirectories(options.out_dir));
  MVLM_TRY(WriteWeights(options, plan));
  const std::string generation = Json{
      {"_from_model_config", true},
      {"bos_token_id", 1},
      {"eos_token_id", 2},
      {"pad_token_id", 0},
      {"transformers_version",
       TransformersVersion(size)}}.dump(2);
  MVLM_TRY(WriteFileAtomically(options.out_dir + "/generation_config.json", generation + "\n"));
  MVLM_TRY(WriteFileAtomically(options.out_dir + "/tokenizer.model",
                               SentencePieceModel(SyntheticVocabulary(size.llm.vocab))));
  return WriteFileAtomically(options.out_dir + "/config.json", OfficialConfig(size, type));
}

}  // namespace mobilevlm
