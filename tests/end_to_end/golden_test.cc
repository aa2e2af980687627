// Every stage against PyTorch, through every kernel table this machine can run. A stage gets the golden
// output of the stage before it, so the first wrong stage is the one that fails.
#include "golden.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <tuple>
#include <vector>

#include "compare.h"
#include "engine/picture.h"
#include "engine/runtime.h"
#include "engine/trace.h"
#include "kernels/dispatch.h"
#include "sample/sampler.h"

namespace mobilevlm::golden {
namespace {

using engine::Runtime;

// (model, kernel table)
class Golden : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  void SetUp() override {
    auto runtime = Runtime::Load({.text = File("text.gguf"),
                                  .mmproj = File("mmproj.gguf"),
                                  .threads = 2,
                                  .kv = KvType::kF32,
                                  .isa = std::get<1>(GetParam())});
    ASSERT_TRUE(runtime) << runtime.error().message;
    runtime_ = *runtime;
    expected_ = ReadExpected(Name());
    auto image = engine::LoadPicture(Picture::FromFile(Path("image_336.png")));
    ASSERT_TRUE(image) << image.error().message;
    image_ = *image;
  }

  std::string Name() const { return std::get<0>(GetParam()); }
  std::string File(const std::string& file) const { return Path(Name() + "/" + file); }
  std::vector<float> Reference(const std::string& file) const {
    return ReadGolden(Name() + "/" + file).values;
  }

  size_t Visual() const { return static_cast<size_t>(runtime_->model().projector.tokens()); }
  size_t Hidden() const { return static_cast<size_t>(runtime_->model().llm.hidden); }
  size_t Vocab() const { return static_cast<size_t>(runtime_->model().llm.vocab); }

  // The whole prompt with the given visual tokens, [visual, hidden].
  std::vector<engine::Position> Prompt(std::vector<float>& tokens) const {
    std::vector<engine::Position> positions;
    for (const int id : expected_.ids_before) positions.push_back({.id = id});
    for (size_t i = 0; i < Visual(); ++i) positions.push_back({.embedding = &tokens[i * Hidden()]});
    for (const int id : expected_.ids_after) positions.push_back({.id = id});
    return positions;
  }

  // Prefill in as many calls as it needs; logits of all positions, of the last one, or none.
  void Read(std::span<const engine::Position> positions, KvCache& cache, Mat<float> logits) const {
    for (size_t begin = 0; begin < positions.size(); begin += engine::kPrefillChunk) {
      const size_t count = std::min(engine::kPrefillChunk, positions.size() - begin);
      const bool all = logits.rows() == positions.size(), last = begin + count == positions.size();
      const Mat<float> part = all    ? logits.Rows(begin, count)
                              : last ? logits
                                     : Mat<float>(nullptr, 0, logits.cols());
      runtime_->pipeline().Prefill(positions.subspan(begin, count), cache, part);
    }
  }

  std::shared_ptr<Runtime> runtime_;
  Expected expected_;
  Image image_;
};

TEST_P(Golden, PixelsPassThroughUnchanged) {
  // A picture of the model's own size is neither padded nor resized.
  for (const ImageFit fit : {ImageFit::kPad, ImageFit::kCrop}) {
    EXPECT_EQ(runtime_->pipeline().Preprocess(image_, fit).rgb, image_.rgb);
  }
}

TEST_P(Golden, VisionFeatures) {
  const std::vector<float> wanted = Reference("vision_features.npy");
  std::vector<float> found(wanted.size());
  const size_t patches = static_cast<size_t>(runtime_->model().vision.patches());
  ASSERT_EQ(wanted.size(), patches * static_cast<size_t>(runtime_->model().vision.hidden));
  runtime_->pipeline().VisionFeatures(image_, Mat<float>(found.data(), patches, found.size() / patches));
  const Difference difference = Compare(found, wanted);
  EXPECT_TRUE(difference.Within(kTolerance)) << difference.ToString();
}

TEST_P(Golden, VisualTokensFromGoldenFeatures) {
  const std::vector<float> features = Reference("vision_features.npy");
  const std::vector<float> wanted = Reference("visual_tokens.npy");
  const size_t patches = static_cast<size_t>(runtime_->model().vision.patches());
  std::vector<float> found(wanted.size());
  ASSERT_EQ(wanted.size(), Visual() * Hidden());
  runtime_->pipeline().VisualTokens(Mat<const float>(features.data(), patches, features.size() / patches),
                                    Mat<float>(found.data(), Visual(), Hidden()));
  const Difference difference = Compare(found, wanted);
  EXPECT_TRUE(difference.Within(kTolerance)) << difference.ToString();
}

TEST_P(Golden, LogitsAndGreedyIdsFromGoldenVisualTokens) {
  std::vector<float> tokens = Reference("visual_tokens.npy");
  const std::vector<float> wanted = Reference("prompt_logits.npy");
  const std::vector<engine::Position> prompt = Prompt(tokens);
  ASSERT_EQ(wanted.size(), prompt.size() * Vocab());

  auto cache = runtime_->NewCache();
  ASSERT_TRUE(cache);
  std::vector<float> found(wanted.size());
  const Mat<float> logits(found.data(), prompt.size(), Vocab());
  Read(prompt, *cache, logits);
  const Difference difference = Compare(found, wanted);
  EXPECT_TRUE(difference.Within(kTolerance)) << difference.ToString();

  std::vector<float> last(logits.row(prompt.size() - 1), logits.row(prompt.size() - 1) + Vocab());
  std::vector<int> greedy;
  for (;;) {
    greedy.push_back(ArgMax(last));
    if (greedy.size() == expected_.greedy_ids.size()) break;
    runtime_->pipeline().Step(greedy.back(), *cache, Mat<float>(last.data(), 1, Vocab()));
  }
  EXPECT_EQ(greedy, expected_.greedy_ids);
}

TEST_P(Golden, WholeTrace) {
  engine::TraceInput input;
  input.picture = image_;
  input.ids_before = expected_.ids_before;
  input.ids_after = expected_.ids_after;
  input.tokens = static_cast<int>(expected_.greedy_ids.size());
  const auto output = engine::Trace(*runtime_, input);
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ(output->pixels.rgb, image_.rgb);
  for (const auto& [file, found] : {std::pair{"vision_features.npy", &output->vision_features},
                                    std::pair{"visual_tokens.npy", &output->visual_tokens},
                                    std::pair{"prompt_logits.npy", &output->prompt_logits}}) {
    const Difference difference = Compare(*found, Reference(file));
    EXPECT_TRUE(difference.Within(kTolerance)) << file << ": " << difference.ToString();
  }
  EXPECT_EQ(output->greedy_ids, expected_.greedy_ids);
}

// The cut of a prompt into calls must not change a bit (and a cache that was cut back is as new).
TEST_P(Golden, PrefillDoesNotDependOnTheCut) {
  std::vector<float> tokens = Reference("visual_tokens.npy");
  const std::vector<engine::Position> prompt = Prompt(tokens);
  auto cache = runtime_->NewCache();
  ASSERT_TRUE(cache);
  std::vector<float> whole(Vocab()), pieces(Vocab());
  Read(prompt, *cache, Mat<float>(whole.data(), 1, Vocab()));
  for (const size_t cut : {size_t{1}, size_t{5}, size_t{64}, prompt.size() - 1}) {
    cache->Truncate(cut);  // what stays was computed together with the rest
    const std::span<const engine::Position> all(prompt);
    Read(all.subspan(cut), *cache, Mat<float>(pieces.data(), 1, Vocab()));
    EXPECT_EQ(whole, pieces) << "cut at " << cut;
    cache->Truncate(0);
    Read(all.first(cut), *cache, Mat<float>(nullptr, 0, Vocab()));
    Read(all.subspan(cut), *cache, Mat<float>(pieces.data(), 1, Vocab()));
    EXPECT_EQ(whole, pieces) << "cut anew at " << cut;
  }
}

std::vector<std::string> RunnableNames() {
  std::vector<std::string> names;
  for (const KernelTable* table : RunnableKernels()) names.emplace_back(table->name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Models, Golden,
                         ::testing::Combine(::testing::Values("nano-ldpv2", "nano80-ldp", "nano-mlp"),
                                            ::testing::ValuesIn(RunnableNames())),
                         [](const auto& parameters) {
                           std::string name =
                               std::get<0>(parameters.param) + "_" + std::get<1>(parameters.param);
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace mobilevlm::golden
