#include "synth/synth.h"

#include <cmath>
#include <filesystem>

#include "base/check.h"
#include "base/progress.h"
#include "vocab/write_vocab.h"
#include "schema/tensors.h"
#include "schema/write_config.h"
#include "synth/random_weights.h"
#include "synth/vocabulary.h"

namespace mobilevlm {
namespace {

struct PlannedTensor {
  TensorSpec spec;
  DType type;
  Distribution distribution;
  uint64_t elements;
};

uint64_t Product(const std::vector<uint64_t>& extents) {
  uint64_t product = 1;
  for (const uint64_t extent : extents) product *= extent;
  return product;
}

// Whether the tensor's product is added to the residual stream, which `layers` blocks share.
bool EndsBlock(const TensorSpec& spec) {
  const std::string_view name = spec.hf_name;
  return name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight") ||
         name.ends_with("out_proj.weight") || name.ends_with("mlp.fc2.weight");
}

// The scale that keeps activations at about one: 1 / sqrt(inputs) for a product, less where every layer adds
// to the same stream (as GPT-2 starts its training), gains around one, small biases.
Distribution ChooseDistribution(const TensorSpec& spec, int layers) {
  constexpr float kSpread = 0.05f;
  if (spec.storage == TensorStorage::kFloat) {
    const bool gain = spec.hf_name.ends_with(".weight");
    return {.mean = gain ? 1.0f : 0.0f, .deviation = kSpread};
  }
  if (spec.hf_name.ends_with("embed_tokens.weight") || spec.hf_name.ends_with("position_embedding.weight")) {
    return {.mean = 0, .deviation = 1};
  }
  const auto inputs = static_cast<float>(Product(spec.shape) / spec.shape.front());
  const float shared = EndsBlock(spec) ? 2.0f * static_cast<float>(layers) : 1.0f;
  return {.mean = 0, .deviation = 1 / std::sqrt(inputs * shared)};
}

Result<std::vector<PlannedTensor>> Plan(const std::vector<TensorSpec>& specs, DType matrices, int layers) {
  const DType half = matrices == DType::kF32 ? DType::kF32 : DType::kF16;
  std::vector<PlannedTensor> plan;
  for (const TensorSpec& spec : specs) {
    const DType type = spec.storage == TensorStorage::kFloat  ? DType::kF32
                       : spec.storage == TensorStorage::kHalf ? half
                                                              : matrices;
    if (!RowBytes(type, spec.shape.back())) {
      return Fail("tensor {}: rows of {} values are no whole blocks of {} values ({})", spec.gguf_name,
                  spec.shape.back(), GetDTypeInfo(type).block_size, DTypeName(type));
    }
    plan.push_back({spec, type, ChooseDistribution(spec, layers), Product(spec.shape)});
  }
  return plan;
}

Status WriteTensors(GgufWriter& out, const std::vector<PlannedTensor>& plan, RandomWeights& weights,
                    const std::string& path) {
  uint64_t total = 0;
  for (const PlannedTensor& tensor : plan) total += RowBytes(tensor.type, tensor.elements).value();
  constexpr uint64_t kMegabyte = 1000000;
  Progress progress("writing MB of " + path, total / kMegabyte);
  uint64_t done = 0;
  for (const PlannedTensor& tensor : plan) {
    out.AddStreamedTensor(tensor.spec.gguf_name, tensor.type, tensor.spec.shape,
                          [&](const GgufWriter::ByteSink& sink) {
                            return weights.Stream(tensor.type, tensor.distribution, tensor.elements,
                                                  [&](std::span<const std::byte> bytes) -> Status {
                                                    MVLM_TRY(sink(bytes));
                                                    const uint64_t before = done / kMegabyte;
                                                    done += bytes.size();
                                                    if (done / kMegabyte != before) {
                                                      progress.Update(done / kMegabyte);
                                                    }
                                                    return {};
                                                  });
                          });
  }
  return out.Write(path);
}

std::string ModelName(const SynthOptions& options) {
  return fmt::format("MobileVLM V2 {}, random weights", options.size.name);
}

}  // namespace

Status SynthesizeModel(const SynthOptions& options) {
  const ModelSize& size = options.size;
  MVLM_ASSIGN(const auto text, Plan(LlmTensors(size.llm), options.text_type, size.llm.layers));
  std::vector<TensorSpec> specs = VisionTensors(size.vision);
  for (TensorSpec& spec : ProjectorTensors(size.projector())) specs.push_back(std::move(spec));
  MVLM_ASSIGN(const auto vision, Plan(specs, options.vision_type, size.vision.used_layers));

  std::error_code error;
  std::filesystem::create_directories(options.out_dir, error);
  if (error) return Fail("{}: cannot create the directory: {}", options.out_dir, error.message());
  // Two generators, so that either file is the same whether or not the other is written.
  if (options.text) {
    RandomWeights weights(options.seed, options.threads);
    GgufWriter out;
    WriteLlmConfig(out, ModelName(options), options.text_type, size.llm);
    WriteVocab(out, SyntheticVocabulary(size.llm.vocab));
    MVLM_TRY(WriteTensors(out, text, weights, options.out_dir + "/text.gguf"));
  }
  if (options.vision) {
    RandomWeights weights(options.seed + 1, options.threads);
    GgufWriter out;
    WriteMmprojConfig(out, ModelName(options), options.vision_type, size.image, size.vision,
                      ProjectorType::kLdpV2);
    MVLM_TRY(WriteTensors(out, vision, weights, options.out_dir + "/mmproj.gguf"));
  }
  return {};
}

}  // namespace mobilevlm
