#include "convert/convert.h"

#include <filesystem>

#include "base/directories.h"
#include "checkpoint/hf_directory.h"
#include "convert/stream_tensor.h"
#include "gguf/writer.h"
#include "schema/write_config.h"
#include "text/tokenizer.h"
#include "vocab/write_vocab.h"

namespace mobilevlm {
namespace {

uint32_t U(int value) { return static_cast<uint32_t>(value); }

// One file in the making: the tensors are looked up and checked at once, and read when it is written.
class GgufFromHf {
 public:
  GgufFromHf(const HfDirectory& hf, Work& work) : hf_(hf), work_(work) {}

  GgufWriter& writer() { return out_; }

  Status Add(const std::vector<TensorSpec>& specs, const OutputType& type, int layers,
             const PolicyContext& context = {}) {
    for (const TensorSpec& spec : specs) {
      MVLM_ASSIGN(const SourceTensor source, hf_.Require(spec));
      work_.total += DenseBytes(source.stored->type, source.stored->shape).value_or(0);
      AddTensor(spec, source, type.Of(spec, layers, context));
    }
    return {};
  }

 private:
  void AddTensor(const TensorSpec& spec, const SourceTensor& source, DType type) {
    const auto stream = [this, spec, source, type](const ByteSink& sink) {
      uint64_t before = 0;
      TensorJob job;
      job.stored = *source.stored;
      job.pair = source.pair;
      job.spec = &spec;
      job.order = RowOrder::kHfToGguf;
      job.type = type;
      job.where = fmt::format("{}: tensor {}", source.files->FileOf(*source.stored), source.stored->name);
      job.pool = &work_.pool;
      job.done = [&](uint64_t elements) {
        source.files->Release(*source.stored);
        const uint64_t bytes = elements * GetDTypeInfo(source.stored->type).block_bytes;
        return work_.Advance(bytes - std::exchange(before, bytes));
      };
      return StreamTensor(job, sink);
    };
    out_.AddStreamedTensor(spec.gguf_name, type, spec.shape, stream);
  }

  const HfDirectory& hf_;
  Work& work_;
  GgufWriter out_;
};

Status SetVocab(GgufWriter& out, const HfDirectory& hf) {
  const std::string where = hf.path + "/tokenizer.model";
  auto vocab = ParseSentencePieceModel(hf.tokenizer_model);
  if (!vocab) return Context(vocab.error(), "{}", where);
  const HfConfig& config = hf.config;
  if (vocab->pieces.size() > U(config.llm.vocab)) {
    return Fail("{}: {} pieces, but config.json says vocab_size {}", where, vocab->pieces.size(),
                config.llm.vocab);
  }
  if (vocab->bos != config.bos || vocab->eos != config.eos) {
    return Fail("{}: bos {} and eos {}, but config.json says {} and {}", where, vocab->bos, vocab->eos,
                config.bos, config.eos);
  }
  PadVocab(*vocab, U(config.llm.vocab));
  WriteVocab(out, *vocab);
  return {};
}

// "dir/model/" and "dir/model" are both called "model".
std::string DirectoryName(const std::string& path) {
  std::error_code error;
  std::filesystem::path whole = std::filesystem::weakly_canonical(path, error);
  if (error) whole = path;
  if (whole.filename().empty()) whole = whole.parent_path();
  return whole.filename().string();
}

Status PlanText(GgufFromHf& file, const HfDirectory& hf, const ConvertOptions& options) {
  const LlmConfig& llm = hf.config.llm;
  WriteLlmConfig(file.writer(), DirectoryName(hf.path), options.text_type.file_type(), llm);
  MVLM_TRY(SetVocab(file.writer(), hf));
  return file.Add(LlmTensors(llm), options.text_type, llm.layers,
                  {.heads_per_kv_head = llm.heads / llm.kv_heads});
}

Status PlanMmproj(GgufFromHf& file, const HfDirectory& hf, const ConvertOptions& options) {
  const HfConfig& config = hf.config;
  const VisionConfig& vision = config.vision;
  WriteMmprojConfig(file.writer(), DirectoryName(hf.path), options.vision_type.file_type(), config.image,
                    vision, config.projector.type);
  MVLM_TRY(
      file.Add(VisionTensors(vision, FfnNaming::kLegacySwapped), options.vision_type, vision.used_layers));
  return file.Add(ProjectorTensors(config.projector), options.vision_type, vision.used_layers);
}

}  // namespace

Result<std::vector<std::string>> ConvertHfDirectory(const ConvertOptions& options) {
  MVLM_ASSIGN(const HfDirectory hf, HfDirectory::Open({options.hf_dir, options.base, options.vision}));
  const bool multimodal = hf.config.multimodal;
  if (multimodal) MVLM_TRY(CheckFit(hf.config.llm, hf.config.projector));
  Work work(options.threads, options.progress);
  GgufFromHf text(hf, work);
  GgufFromHf mmproj(hf, work);
  MVLM_TRY(PlanText(text, hf, options));
  if (multimodal) MVLM_TRY(PlanMmproj(mmproj, hf, options));
  MVLM_TRY(MakeDirectories(options.out_dir));
  std::vector<std::string> written{options.out_dir + "/text.gguf"};
  MVLM_TRY(text.writer().Write(written.back()));
  if (multimodal) {
    written.push_back(options.out_dir + "/mmproj.gguf");
    MVLM_TRY(mmproj.writer().Write(written.back()));
  }
  return written;
}

}  // namespace mobilevlm
