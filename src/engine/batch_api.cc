// The public Batch (include/mobilevlm/batch.h) on top of the engine.
#include "engine/batch_engine.h"
#include "mobilevlm/batch.h"

namespace mobilevlm {

BatchRequest::BatchRequest(std::unique_ptr<engine::PreparedRequest> prepared)
    : prepared_(std::move(prepared)) {}
BatchRequest::BatchRequest(BatchRequest&&) noexcept = default;
BatchRequest& BatchRequest::operator=(BatchRequest&&) noexcept = default;
BatchRequest::~BatchRequest() = default;

int BatchRequest::positions() const { return static_cast<int>(prepared_->positions); }
int BatchRequest::pictures() const { return prepared_->prompt.images(); }

Batch::Batch(std::unique_ptr<engine::BatchEngine> engine) : engine_(std::move(engine)) {}
Batch::Batch(Batch&&) noexcept = default;
Batch& Batch::operator=(Batch&&) noexcept = default;
Batch::~Batch() = default;

Result<Batch> Batch::Create(const Model& model, const BatchOptions& options) {
  MVLM_ASSIGN(std::unique_ptr<engine::BatchEngine> engine,
              engine::BatchEngine::Create(model.runtime_, options));
  return Batch(std::move(engine));
}

Result<BatchRequest> Batch::Prepare(const std::vector<Message>& messages,
                                    const GenerateOptions& options) const {
  MVLM_ASSIGN(std::unique_ptr<engine::PreparedRequest> prepared, engine_->Prepare(messages, options));
  return BatchRequest(std::move(prepared));
}

int Batch::free_streams() const { return engine_->free_streams(); }

void Batch::Start(BatchRequest request, StreamEvents events) {
  engine_->Start(std::move(request.prepared_), std::move(events));
}

bool Batch::Step() { return engine_->Step(); }

BatchStats Batch::Describe() const { return engine_->Describe(); }

}  // namespace mobilevlm
