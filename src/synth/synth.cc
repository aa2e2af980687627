#include "synth/synth.h"

#include <algorithm>
#include <cctype>

#include "base/directories.h"
#include "schema/tensors.h"
#include "schema/write_config.h"
#include "synth/hf_directory_writer.h"
#include "synth/plan.h"
#include "synth/random_weights.h"
#include "synth/vocabulary.h"
#include "vocab/write_vocab.h"

namespace mobilevlm {
namespace {

Status WriteTensors(GgufWriter& out, const std::vector<PlannedTensor>& plan, RandomWeights& weights,
                    WrittenWeights& written, const std::string& path) {
  PlannedWeights planned(weights, written);
  for (const PlannedTensor& tensor : plan) {
    out.AddStreamedTensor(tensor.spec.gguf_name, tensor.type, tensor.spec.shape,
                          [&](const GgufWriter::ByteSink& sink) { return planned.Stream(tensor, sink); });
  }
  return out.Write(path);
}

std::string ModelName(const SynthOptions& options) {
  const bool v2 = options.size.projector_type == ProjectorType::kLdpV2;
  return fmt::format("MobileVLM {}{}, random weights", v2 ? "V2 " : "", options.size.name);
}

}  // namespace

Result<SynthLayout> ParseSynthLayout(std::string_view name) {
  if (name == "gguf") return SynthLayout::kGguf;
  if (name == "hf-bin") return SynthLayout::kHfBin;
  if (name == "hf-safetensors") return SynthLayout::kHfSafetensors;
  return Fail("wanted a layout of gguf, hf-bin, hf-safetensors, found {}", name);
}

Result<DType> ParseSynthType(std::string_view name) {
  std::string upper(name);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (const DTypeInfo* info = FindDType(std::string_view(upper))) return info->type;
  return Fail("wanted a type of {}, found {}", SynthTypeNames(), name);
}

std::string SynthTypeNames() {
  std::string names = DTypeNames();
  std::transform(names.begin(), names.end(), names.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return names;
}

Status SynthesizeModel(const SynthOptions& options) {
  if (options.layout != SynthLayout::kGguf) return SynthesizeHfDirectory(options);
  const ModelSize& size = options.size;
  MVLM_ASSIGN(const auto text, PlanTensors(LlmTensors(size.llm), options.text_type, size.llm.layers));
  std::vector<TensorSpec> specs = VisionTensors(size.vision);
  for (TensorSpec& spec : ProjectorTensors(size.projector())) specs.push_back(std::move(spec));
  MVLM_ASSIGN(const auto vision, PlanTensors(specs, options.vision_type, size.vision.used_layers));

  MVLM_TRY(MakeDirectories(options.out_dir));
  WrittenWeights written{.progress = options.progress};
  if (options.text) written.total += BytesOf(text);
  if (options.vision) written.total += BytesOf(vision);
  // Two generators, so that either file is the same whether or not the other is written.
  if (options.text) {
    RandomWeights weights(options.seed, options.threads);
    GgufWriter out;
    WriteLlmConfig(out, ModelName(options), options.text_type, size.llm);
    WriteVocab(out, SyntheticVocabulary(size.llm.vocab));
    MVLM_TRY(WriteTensors(out, text, weights, written, options.out_dir + "/text.gguf"));
  }
  if (options.vision) {
    RandomWeights weights(options.seed + 1, options.threads);
    GgufWriter out;
    WriteMmprojConfig(out, ModelName(options), options.vision_type, size.image, size.vision,
                      size.projector_type);
    MVLM_TRY(WriteTensors(out, vision, weights, written, options.out_dir + "/mmproj.gguf"));
  }
  return {};
}

}  // namespace mobilevlm
