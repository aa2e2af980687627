// Runtime: a loaded model and the pipeline that runs it; what a public Model points to.
#pragma once

#include <memory>
#include <mutex>

#include "base/result.h"
#include "engine/model.h"
#include "engine/pipeline.h"
#include "mobilevlm/mobilevlm.h"
#include "sample/token_constraint.h"

namespace mobilevlm::engine {

// Thread contract: as Pipeline.
class Runtime {
 public:
  static Result<std::shared_ptr<Runtime>> Load(const LoadOptions& options);

  const LoadedModel& model() const { return *model_; }
  const ModelInfo& info() const { return info_; }
  Pipeline& pipeline() { return pipeline_; }

  // The vocabulary as constrained sampling searches it; made at the first call.
  const TokenTrie& token_trie();

  // A cache for one conversation; an Error if the memory cannot be had any more.
  Result<KvCache> NewCache() const;

 private:
  Runtime(std::unique_ptr<const LoadedModel> model, int threads)
      : model_(std::move(model)), pipeline_(*model_, threads) {}

  std::unique_ptr<const LoadedModel> model_;
  Pipeline pipeline_;
  ModelInfo info_;
  std::once_flag token_trie_once_;
  std::unique_ptr<const TokenTrie> token_trie_;
};

}  // namespace mobilevlm::engine
