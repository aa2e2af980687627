// Pipeline: the stages of a model in their order, the only place where they meet.
//
//     image ─> Preprocess ─> VisionFeatures ─> VisualTokens ──┐
//     text  ─> tokenizer, prompt/assemble ───────────────────>├─> Prefill ─> Step ─> Step ...
//                                                             (positions)
//
// It owns the threads and the scratch buffers. Thread contract: calls from several threads are safe and
// take turns; each call is one step.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/fair_mutex.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "engine/model.h"
#include "image/image.h"
#include "llm/kv_cache.h"
#include "ops/linear.h"
#include "ops/linear_scratch.h"
#include "tensor/mat.h"

namespace mobilevlm::engine {

// One position of a prompt: a text id, or one visual token.
struct Position {
  int32_t id = -1;                   // text
  const float* embedding = nullptr;  // visual token, [hidden]; id is then unused
};

// What one conversation reads in a pass shared with others.
struct Reading {
  std::span<const Position> positions;
  KvCache* cache = nullptr;  // has room; each cache occurs once in a pass
  size_t logits = 0;         // rows wanted, for the last so many positions
};

// A picture on its way through the tower, some blocks at a time.
struct PictureProgress {
  AlignedBuffer<float> buffer;
  Mat<float> hidden;  // [1 + patches, vision_hidden]; no rows before the first piece
  size_t blocks = 0;  // that have run
};

class Pipeline {
 public:
  Pipeline(const LoadedModel& model, int threads);  // `model` must outlive it

  const LoadedModel& model() const { return model_; }
  int threads() const { return pool_.threads(); }

  // From now on `observer` sees the inputs of every matrix product; nullptr ends it.
  void SetObserver(LinearObserver* observer);

  // What the model sees: [S, S, 3], S = image_size.
  Image Preprocess(const Image& picture, ImageFit fit) const;

  // `picture` as Preprocess left it. features: [patches, vision_hidden].
  void VisionFeatures(const Image& picture, Mat<float> features);

  // features: [patches, vision_hidden] -> tokens: [visual tokens, hidden].
  void VisualTokens(Mat<const float> features, Mat<float> tokens);

  // A piece of both: at most `blocks` blocks of the tower, 1 or more. True if tokens [visual tokens, hidden]
  // are there, the same to the bit as in one go.
  bool AdvancePicture(const Image& picture, size_t blocks, PictureProgress& progress, Mat<float> tokens);

  // Both: tokens [visual tokens, hidden].
  void EncodePicture(const Image& picture, Mat<float> tokens);

  // One pass over at most kPrefillChunk positions of all readings. logits: [rows of all readings, vocab], in
  // their order. What a reading gets does not depend on the others.
  void ReadTogether(std::span<const Reading> readings, Mat<float> logits);

  // Reads at most kPrefillChunk positions into `cache`, which has room. logits: [0, vocab] for none, [1,
  // vocab] for the last position only, [positions, vocab] for all. Results do not depend on how a prompt is
  // cut into calls.
  void Prefill(std::span<const Position> positions, KvCache& cache, Mat<float> logits);

  // The same for one generated id. logits: [1, vocab].
  void Step(int32_t id, KvCache& cache, Mat<float> logits);

 private:
  void Embed(std::span<const Position> positions, Mat<float> x);
  std::span<const float> Normalised(const Image& picture);

  const LoadedModel& model_;
  ThreadPool pool_;
  LinearScratch linear_scratch_;  // guarded by mutex_, as what ctx_ is used for

  FairMutex mutex_;  // guards what follows, and the pool
  OpsContext ctx_;
  VisionScratch vision_scratch_;
  ProjectorScratch projector_scratch_;
  LlmScratch llm_scratch_;
  AlignedBuffer<float> pixels_;  // [3, S, S]
  AlignedBuffer<float> x_;       // [chunk, hidden]
  std::vector<int32_t> ids_;
  std::vector<Stretch> stretches_;
};

}  // namespace mobilevlm::engine
