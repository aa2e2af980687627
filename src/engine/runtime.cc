#include "engine/runtime.h"

#include "base/stopwatch.h"
#include "engine/memory.h"

namespace mobilevlm::engine {
namespace {

constexpr int kMostThreads = 1024;

ModelInfo DescribeModel(const LoadOptions& options, const LoadedModel& model, int threads) {
  ModelInfo info;
  info.text_path = options.text;
  info.mmproj_path = options.mmproj;
  info.projector = ProjectorName(model.projector.type);
  info.isa = model.kernels->name;
  info.threads = threads;
  info.image_size = model.image.image_size;
  info.visual_tokens = model.projector.tokens();
  info.vision_layers = model.vision.used_layers;
  info.layers = model.llm.layers;
  info.hidden = model.llm.hidden;
  info.heads = model.llm.heads;
  info.vocab = model.llm.vocab;
  info.context = static_cast<int>(model.context);
  info.memory = model.memory;
  return info;
}

}  // namespace

Result<std::shared_ptr<Runtime>> Runtime::Load(const LoadOptions& options) {
  if (options.threads < 0 || options.threads > kMostThreads) {
    return Fail("threads must be in 0..{}, found {}", kMostThreads, options.threads);
  }
  const Stopwatch watch;
  MVLM_ASSIGN(std::unique_ptr<const LoadedModel> model, LoadedModel::Load(options));
  std::shared_ptr<Runtime> runtime(new Runtime(std::move(model), options.threads));
  runtime->info_ = DescribeModel(options, runtime->model(), runtime->pipeline().threads());
  runtime->info_.load_ms = watch.Milliseconds();
  return runtime;
}

const TokenTrie& Runtime::token_trie() {
  std::call_once(token_trie_once_, [this] {
    const Tokenizer& tokenizer = model_->tokenizer;
    std::vector<std::string_view> pieces(static_cast<size_t>(tokenizer.size()));
    for (int id = 0; id < tokenizer.size(); ++id) {
      const PieceType type = tokenizer.Type(id);
      if (type != PieceType::kNormal && type != PieceType::kByte && type != PieceType::kUserDefined) continue;
      pieces[static_cast<size_t>(id)] = tokenizer.PieceText(id);
    }
    token_trie_ = std::make_unique<const TokenTrie>(pieces);
  });
  return *token_trie_;
}

Result<KvCache> Runtime::NewCache() const {
  return KvCache::Create(model_->llm, model_->kv_type, model_->context);
}

}  // namespace mobilevlm::engine
