// The public C++ API (include/mobilevlm/mobilevlm.h) on top of the engine.
#include <numeric>

#include "engine/conversation.h"
#include "engine/runtime.h"
#include "mobilevlm/mobilevlm.h"

namespace mobilevlm {

const char* Version() { return MOBILEVLM_VERSION; }

const char* KvTypeName(KvType type) {
  switch (type) {
    case KvType::kF32:
      return "f32";
    case KvType::kF16:
      return "f16";
    case KvType::kQ8_0:
      return "q8_0";
  }
  return "unknown";
}

const char* StopReasonName(StopReason reason) {
  switch (reason) {
    case StopReason::kEos:
      return "eos";
    case StopReason::kStopString:
      return "stop";
    case StopReason::kMaxTokens:
      return "max_tokens";
    case StopReason::kContextFull:
      return "context_full";
    case StopReason::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

double AnswerLikelihood::total() const { return std::accumulate(log_probs.begin(), log_probs.end(), 0.0); }
double AnswerLikelihood::mean() const {
  return log_probs.empty() ? 0 : total() / static_cast<double>(log_probs.size());
}

Session::Session(std::unique_ptr<engine::Conversation> conversation)
    : conversation_(std::move(conversation)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Answer> Session::Ask(const std::vector<Picture>& pictures, std::string_view prompt,
                            const GenerateOptions& options,
                            const std::function<void(std::string_view)>& on_text) {
  return conversation_->Ask(pictures, prompt, options, on_text);
}

Result<std::vector<AnswerLikelihood>> Session::Likelihoods(const std::vector<Picture>& pictures,
                                                           std::string_view prompt,
                                                           const std::vector<std::string>& answers,
                                                           bool first_id_only,
                                                           const std::atomic<bool>* cancel, Stats* stats) {
  return conversation_->Likelihoods(pictures, prompt, answers, first_id_only, cancel, stats);
}

void Session::Reset() { conversation_->Reset(); }

Model::Model(std::shared_ptr<engine::Runtime> runtime) : runtime_(std::move(runtime)) {}

Result<Model> Model::Load(const LoadOptions& options) {
  auto runtime = engine::Runtime::Load(options);
  if (!runtime) return tl::unexpected<Error>(runtime.error());
  return Model(std::move(*runtime));
}

const ModelInfo& Model::Describe() const { return runtime_->info(); }

Result<Session> Model::NewSession(const SessionOptions& options) const {
  auto conversation = engine::Conversation::Create(runtime_, options);
  if (!conversation) return tl::unexpected<Error>(conversation.error());
  return Session(std::move(*conversation));
}

}  // namespace mobilevlm
