#include "engine/pipeline.h"

#include <algorithm>
#include <cstring>

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

std::span<const float> Pipeline::Normalised(const Image& picture) {
  const size_t side = static_cast<size_t>(model_.image.image_size);
  MVLM_CHECK(picture.rgb.size() == 3 * side * side, "{} bytes for a side of {}", picture.rgb.size(), side);
  const std::span<float> pixels(pixels_.Reserve(3 * side * side), 3 * side * side);
  Normalise(picture, model_.image.mean, model_.image.std, pixels);
  return pixels;
}

void Pipeline::VisionFeatures(const Image& picture, Mat<float> features) {
  const std::lock_guard lock(mutex_);
  EncodeVision(ctx_, model_.vision, model_.vision_weights, Normalised(picture), vision_scratch_, features);
}

bool Pipeline::AdvancePicture(const Image& picture, size_t blocks, PictureProgress& progress,
                              Mat<float> tokens) {
  const std::lock_guard lock(mutex_);
  const VisionWeights& weights = model_.vision_weights;
  if (progress.hidden.rows() == 0) {
    const size_t patches = static_cast<size_t>(model_.vision.patches());
    progress.hidden = progress.buffer.ReserveMat(1 + patches, static_cast<size_t>(model_.vision.hidden));
    EmbedPatches(ctx_, model_.vision, weights, Normalised(picture), vision_scratch_, progress.hidden);
  }
  const size_t end = std::min(weights.blocks.size(), progress.blocks + blocks);
  RunBlocks(ctx_, model_.vision, weights, progress.blocks, end, vision_scratch_, progress.hidden);
  progress.blocks = end;
  if (end < weights.blocks.size()) return false;
  const Mat<const float> features = progress.hidden.Rows(1, progress.hidden.rows() - 1);
  Project(ctx_, model_.projector, model_.projector_weights, features, projector_scratch_, tokens);
  return true;
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

void Pipeline::ReadTogether(std::span<const Reading> readings, Mat<float> logits) {
  const std::lock_guard lock(mutex_);
  size_t n = 0, wanted = 0;
  stretches_.clear();
  for (const Reading& reading : readings) {
    MVLM_CHECK(reading.logits <= reading.positions.size(), "{} rows of logits for {}", reading.logits,
               reading.positions.size());
    stretches_.push_back({reading.cache, reading.positions.size()});
    n += reading.positions.size();
    wanted += reading.logits;
  }
  MVLM_CHECK(n <= kPrefillChunk && logits.rows() == wanted, "{} positions, {} of {} rows of logits", n,
             logits.rows(), wanted);
  const Mat<float> x = x_.ReserveMat(n, static_cast<size_t>(model_.llm.hidden));
  size_t row = 0;
  for (const Reading& reading : readings) {
    Embed(reading.positions, x.Rows(row, reading.positions.size()));
    row += reading.positions.size();
  }
  Forward(ctx_, model_.llm, model_.llm_weights, model_.rope, stretches_, llm_scratch_, x);
  if (wanted == 0) return;
  // The rows somebody looks at move together, to the end of x, the last ones first.
  size_t to = n;
  for (size_t i = readings.size(), end = n; i-- > 0; end -= readings[i].positions.size()) {
    to -= readings[i].logits;
    const size_t from = end - readings[i].logits;
    if (from != to) std::memmove(x.row(to), x.row(from), readings[i].logits * x.cols() * sizeof(float));
  }
  Logits(ctx_, model_.llm, model_.llm_weights, llm_scratch_, x.Rows(to, wanted), logits);
}

void Pipeline::Prefill(std::span<const Position> positions, KvCache& cache, Mat<float> logits) {
  const Reading reading{.positions = positions, .cache = &cache, .logits = logits.rows()};
  ReadTogether({&reading, 1}, logits);
}

void Pipeline::Step(int32_t id, KvCache& cache, Mat<float> logits) {
  const Position position{.id = id};
  Prefill({&position, 1}, cache, logits);
}

}  // namespace mobilevlm::engine
