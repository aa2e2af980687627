#include "bench/workload.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "bench/sample_picture.h"

namespace mobilevlm::bench {
namespace {

size_t Size(int value) { return static_cast<size_t>(value); }

// Any id that is no special or byte piece will do: the time does not depend on it.
int32_t TextId(Random& random, int vocab) {
  constexpr int kFirstPiece = 259;
  return random.Between(std::min(kFirstPiece, vocab - 1), vocab - 1);
}

}  // namespace

Result<Workload> Workload::Load(const LoadOptions& options) {
  MVLM_ASSIGN(auto runtime, engine::Runtime::Load(options));
  const engine::LoadedModel& model = runtime->model();
  const int least = kPromptTextPositions + model.projector.tokens() + kDecodeTokens;
  if (model.context < Size(least)) {
    return Fail("{}: the benchmark needs a context of {} positions, found {}", options.text, least,
                model.context);
  }
  MVLM_ASSIGN(KvCache cache, runtime->NewCache());
  return Workload(std::move(runtime), std::move(cache));
}

Workload::Workload(std::shared_ptr<engine::Runtime> runtime, KvCache cache)
    : runtime_(std::move(runtime)), cache_(std::move(cache)), picture_(SamplePicture()) {
  const engine::LoadedModel& m = model();
  features_ = features_buffer_.ReserveMat(Size(m.vision.patches()), Size(m.vision.hidden));
  visual_ = visual_buffer_.ReserveMat(Size(m.projector.tokens()), Size(m.projector.hidden));
  logits_ = logits_buffer_.ReserveMat(1, Size(m.llm.vocab));

  // Most of the text stands before the picture, as in the v1 template.
  constexpr int kTextAfter = 10;
  Random random(1);
  for (int i = 0; i < kPromptTextPositions - kTextAfter; ++i) {
    prompt_.push_back({.id = TextId(random, m.llm.vocab)});
  }
  for (size_t i = 0; i < visual_.rows(); ++i) prompt_.push_back({.embedding = visual_.row(i)});
  for (int i = 0; i < kTextAfter; ++i) prompt_.push_back({.id = TextId(random, m.llm.vocab)});
}

void Workload::Preprocess() { square_ = runtime_->pipeline().Preprocess(picture_, ImageFit::kPad); }

void Workload::RunTower() { runtime_->pipeline().VisionFeatures(square_, features_); }

void Workload::RunProjector() { runtime_->pipeline().VisualTokens(features_, visual_); }

void Workload::Read(std::span<const engine::Position> positions, Mat<float> logits) {
  for (size_t begin = 0; begin < positions.size(); begin += engine::kPrefillChunk) {
    const size_t count = std::min(engine::kPrefillChunk, positions.size() - begin);
    const bool last = begin + count == positions.size();
    runtime_->pipeline().Prefill(positions.subspan(begin, count), cache_, last ? logits : logits.Rows(0, 0));
  }
}

void Workload::ReadPrompt() {
  cache_.Truncate(0);
  Read(prompt_, logits_);
}

void Workload::ExtendTo(int depth) {
  Random random(2);
  std::vector<engine::Position> text;
  for (int i = this->depth(); i < depth; ++i) text.push_back({.id = TextId(random, model().llm.vocab)});
  Read(text, logits_);
}

void Workload::ShrinkTo(int depth) { cache_.Truncate(Size(depth)); }

Status Workload::Decode(int tokens) {
  for (int i = 0; i < tokens; ++i) {
    runtime_->pipeline().Step(next_id_, cache_, logits_);
    const float* const row = logits_.row(0);
    const float* const likeliest = std::max_element(row, row + logits_.cols());
    if (!std::isfinite(*likeliest)) {
      return Fail("{}: the logits are not numbers; the file is damaged", info().text_path);
    }
    next_id_ = static_cast<int32_t>(likeliest - row);
  }
  return {};
}

}  // namespace mobilevlm::bench
