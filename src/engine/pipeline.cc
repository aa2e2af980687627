#include "engine/pipeline.h"

#include <algorithm>

#include "image/preprocess.h"

namespace mobilevlm::engine {

Pipeline::Pipeline(const LoadedModel& model, int threads)
    : model_(model),
      pool_(threads),
      ctx_{.pool = &pool_,
           .kernels = model.kernels,
           .scratch = &linear_scratch_,
           .float_activations = model.float_activations} {}

void Pipeline::SetObserver(LinearObserver* observer) {
  const std::lock_guard lock(mutex_);
  ctx_.observer = observer;
}

Image Pipeline::Preprocess(const Image& picture, ImageFit fit) const {
  const ImageMode mode = fit == ImageFit::kPad ? ImageMode::kPad : ImageMode::kCrop;
  return ResizeForModel(picture, model_.image.image_size, mode, model_.image.mean);
}

void Pipeline::VisionFeatures(const Image& picture, Mat<float> features) {
  const std::lock_guard lock(mutex_);
  const size_t side = static_cast<size_t>(model_.image.image_size);
  MVLM_CHECK(picture.rgb.size() == 3 * side * side, "{} bytes for a side of {}", picture.rgb.size(), side);
  const std::span<float> pixels(pixels_.Reserve(3 * side * side), 3 * side * side);
  Normalise(picture, model_.image.mean, model_.image.std, pixels);
  EncodeVision(ctx_, model_.vision, model_.vision_weights, pixels, vision_scratch_, features);
}

void Pipeline::VisualTokens(Mat<const float> features, Mat<float> tokens) {
  const std::lock_guard lock(mutex_);
  Project(ctx_, model_.projector, model_.projector_weights, features, projector_scratch_, tokens);
}

void Pipeline::EncodePicture(const Image& picture, Mat<float> tokens) {
  AlignedBuffer<float> buffer;
  const Mat<float> features = buffer.ReserveMat(static_cast<size_t>(model_.vision.patches()),
                                                static_cast<size_t>(model_.vision.hidden));
  VisionFeatures(picture, features);
  VisualTokens(features, tokens);
}

void Pipeline::Embed(std::span<const Position> positions, Mat<float> x) {
  for (size_t i = 0; i < positions.size();) {
    if (positions[i].embedding != nullptr) {
      std::copy_n(positions[i].embedding, x.cols(), x.row(i));
      ++i;
      continue;
    }
    // A stretch of text is looked up in one go.
    ids_.clear();
    size_t end = i;
    for (; end < positions.size() && positions[end].embedding == nullptr; ++end) {
      ids_.push_back(positions[end].id);
    }
    EmbedTokens(ctx_, model_.llm_weights, ids_, x.Rows(i, end - i));
    i = end;
  }
}

void Pipeline::Prefill(std::span<const Position> positions, KvCache& cache, Mat<float> logits) {
  const std::lock_guard lock(mutex_);
  const size_t n = positions.size();
  MVLM_CHECK(n <= kPrefillChunk && (logits.rows() <= 1 || logits.rows() == n), "{} rows of logits for {}",
             logits.rows(), n);
  const Mat<float> x = x_.ReserveMat(n, static_cast<size_t>(model_.llm.hidden));
  Embed(positions, x);
  Forward(ctx_, model_.llm, model_.llm_weights, model_.rope, cache, llm_scratch_, x);
  if (logits.rows() > 0) {
    Logits(ctx_, model_.llm, model_.llm_weights, llm_scratch_, x.Rows(n - logits.rows(), logits.rows()),
           logits);
  }
}

void Pipeline::Step(int32_t id, KvCache& cache, Mat<float> logits) {
  const Position position{.id = id};
  Prefill({&position, 1}, cache, logits);
}

}  // namespace mobilevlm::engine
