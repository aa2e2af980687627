#include "convert/to_hf.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/atomic_file.h"
#include "base/directories.h"
#include "checkpoint/safetensors.h"
#include "convert/stream_tensor.h"
#include "gguf/reader.h"
#include "quantize/encode.h"
#include "schema/read_config.h"
#include "schema/tensors.h"
#include "schema/write_hf_config.h"
#include "tensor/dequantize.h"
#include "text/sentencepiece_writer.h"
#include "vocab/read_vocab.h"
#include "vocab/write_vocab.h"

namespace mobilevlm {
namespace {

// Whether every value survives `type`.
bool Survives(const GgufTensor& tensor, DType type) {
  const std::vector<float> values = DequantizeTensor(tensor.type, tensor.data);
  std::vector<std::byte> narrow(*RowBytes(type, values.size()));
  Encode(type, values.data(), values.size(), nullptr, narrow.data());
  return DequantizeTensor(type, narrow) == values;
}

// The tensors of both files as a checkpoint's.
class HfFromGguf {
 public:
  HfFromGguf(Work& work, bool dequantize) : work_(work), dequantize_(dequantize) {}

  // Adds one file's tensors; `specs` outlive the writing.
  Status Add(const GgufFile& file, const std::vector<TensorSpec>& specs) {
    const auto first = std::find_if(specs.begin(), specs.end(), [](const TensorSpec& spec) {
      return spec.storage == TensorStorage::kMatrix;
    });
    MVLM_ASSIGN(const GgufTensor* matrix, FindTensor(file, *first));
    for (const TensorSpec& spec : specs) {
      MVLM_ASSIGN(const GgufTensor* tensor, FindTensor(file, spec));
      if (IsQuantised(tensor->type) && !dequantize_) {
        return Fail(
            "{}: tensor {} is {}: wanted F32, F16 or BF16; what was quantised cannot be brought back "
            "(--dequantize writes the values that it stands for)",
            file.path(), tensor->name, DTypeName(tensor->type));
      }
      AddTensor(file, spec, *tensor, ChooseType(spec, *tensor, matrix->type));
    }
    return {};
  }

  Status Write(const std::string& path) const { return WriteSafetensors(path, tensors_, {{"format", "pt"}}); }

 private:
  static DType ChooseType(const TensorSpec& spec, const GgufTensor& tensor, DType matrices) {
    if (IsQuantised(tensor.type) || IsQuantised(matrices)) return DType::kF32;
    const bool changes = spec.storage != TensorStorage::kMatrix && tensor.type != matrices;
    return changes && Survives(tensor, matrices) ? matrices : tensor.type;
  }

  void AddTensor(const GgufFile& file, const TensorSpec& spec, const GgufTensor& tensor, DType type) {
    work_.total += tensor.data.size();
    const auto stream = [this, &file, &spec, &tensor, type](const StreamedTensor::ByteSink& sink) {
      uint64_t before = 0;
      TensorJob job;
      job.stored = {tensor.name, tensor.type, tensor.shape, tensor.data};
      job.spec = &spec;
      job.order = RowOrder::kGgufToHf;
      job.type = type;
      job.where = fmt::format("{}: tensor {}", file.path(), tensor.name);
      job.pool = &work_.pool;
      job.done = [&](uint64_t elements) {
        file.ReleasePages(tensor);
        const uint64_t bytes = *RowBytes(tensor.type, elements);
        return work_.Advance(bytes - std::exchange(before, bytes));
      };
      return StreamTensor(job, sink);
    };
    tensors_.push_back({spec.hf_name, type, spec.hf_shape(), stream});
  }

  Work& work_;
  bool dequantize_;
  std::vector<StreamedTensor> tensors_;
};

// config.json's numbers; the blocks that run are the ones that are stored.
Result<HfConfig> ReadConfig(const GgufFile& text, const GgufFile* mmproj, const TokenizerVocab& vocab) {
  HfConfig config;
  config.multimodal = mmproj != nullptr;
  config.bos = vocab.bos;
  config.eos = vocab.eos;
  MVLM_ASSIGN(config.llm, ReadLlmConfig(text));
  if (mmproj == nullptr) return config;
  MVLM_ASSIGN(config.vision, ReadVisionConfig(*mmproj));
  MVLM_ASSIGN(config.projector, ReadProjectorConfig(*mmproj));
  MVLM_TRY(CheckFit(config.llm, config.projector));
  config.vision.stored_layers = config.vision.used_layers;
  return config;
}

}  // namespace

Result<ToHfReport> ConvertToHf(const ToHfOptions& options) {
  MVLM_ASSIGN(const GgufFile text, GgufFile::Open(options.text));
  std::optional<GgufFile> mmproj;
  if (!options.mmproj.empty()) {
    MVLM_ASSIGN(mmproj, GgufFile::Open(options.mmproj));
  }
  MVLM_ASSIGN(TokenizerVocab vocab, ReadVocab(text));
  UnpadVocab(vocab);
  MVLM_ASSIGN(const HfConfig config, ReadConfig(text, mmproj ? &*mmproj : nullptr, vocab));

  const std::vector<TensorSpec> llm = LlmTensors(config.llm);
  std::vector<TensorSpec> vision;
  Work work(options.threads, options.progress);
  HfFromGguf tensors(work, options.dequantize);
  MVLM_TRY(tensors.Add(text, llm));
  if (mmproj) {
    MVLM_ASSIGN(vision, MmprojTensors(*mmproj));
    MVLM_TRY(tensors.Add(*mmproj, vision));
  }
  MVLM_TRY(MakeDirectories(options.out_dir));
  ToHfReport report{{options.out_dir + "/model.safetensors", options.out_dir + "/tokenizer.model",
                     options.out_dir + "/config.json"},
                    config.vision.stored_layers};
  MVLM_TRY(tensors.Write(report.written[0]));
  MVLM_TRY(WriteFileAtomically(report.written[1], SentencePieceModel(vocab)));
  const DType stored = text.FindTensor(llm.front().gguf_name)->type;
  const DType type = IsQuantised(stored) ? DType::kF32 : stored;
  MVLM_TRY(WriteFileAtomically(report.written[2], HfConfigJson(config, type)));
  return report;
}

}  // namespace mobilevlm
