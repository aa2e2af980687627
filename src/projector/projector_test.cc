// The three projectors against a plain double-precision transcription of vision_projector.py, on grids and
// widths other than the released ones. (Against PyTorch itself: tests/end_to_end.)
#include "projector/projector.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "kernels/dispatch.h"

namespace mobilevlm {
namespace {

using Vec = std::vector<double>;

struct Linear64 {
  size_t out, in;
  Vec weight, bias;  // bias may be empty
};

// Random weights, kept both as the engine wants them and as the reference does.
class Maker {
 public:
  std::vector<float> Values(size_t n, double scale, double offset = 0) {
    std::vector<float> values(n);
    for (float& value : values) value = static_cast<float>(offset + scale * random_.Normal());
    return values;
  }
  std::span<const float> Keep(std::vector<float> values) {
    floats_.push_back(std::move(values));
    return floats_.back();
  }
  LinearWeights Matrix(size_t out, size_t in, bool bias, Linear64& reference) {
    const auto weight = Keep(Values(out * in, 1.0 / std::sqrt(static_cast<double>(in))));
    reference = {out, in, Vec(weight.begin(), weight.end()), {}};
    LinearWeights weights{DType::kF32, reinterpret_cast<const std::byte*>(weight.data()), out, in, nullptr,
                          in * 4};
    if (bias) {
      const auto b = Keep(Values(out, 0.1));
      reference.bias.assign(b.begin(), b.end());
      weights.bias = b.data();
    }
    return weights;
  }

 private:
  Random random_{11};
  std::vector<std::vector<float>> floats_;
};

Vec Apply(const Linear64& w, const Vec& x) {
  Vec y(x.size() / w.in * w.out);
  for (size_t t = 0; t < x.size() / w.in; ++t) {
    for (size_t o = 0; o < w.out; ++o) {
      double sum = w.bias.empty() ? 0 : w.bias[o];
      for (size_t i = 0; i < w.in; ++i) sum += x[t * w.in + i] * w.weight[o * w.in + i];
      y[t * w.out + o] = sum;
    }
  }
  return y;
}

void Gelu64(Vec& x) {
  for (double& v : x) v = v * 0.5 * (1 + std::erf(v / std::sqrt(2.0)));
}

Vec Depthwise64(const Vec& x, size_t grid, size_t channels, std::span<const float> w,
                std::span<const float> bias, size_t stride) {
  const size_t out = (grid - 1) / stride + 1;
  Vec y(out * out * channels);
  const auto inside = [&](size_t base, size_t k) { return base + k >= 1 && base + k - 1 < grid; };
  for (size_t r = 0; r < out; ++r) {
    for (size_t q = 0; q < out; ++q) {
      for (size_t c = 0; c < channels; ++c) {
        double sum = bias.empty() ? 0 : static_cast<double>(bias[c]);
        for (size_t i = 0; i < 3; ++i) {
          for (size_t j = 0; j < 3; ++j) {
            if (!inside(r * stride, i) || !inside(q * stride, j)) continue;
            const size_t at = (r * stride + i - 1) * grid + q * stride + j - 1;
            sum += x[at * channels + c] * static_cast<double>(w[c * 9 + i * 3 + j]);
          }
        }
        y[(r * out + q) * channels + c] = sum;
      }
    }
  }
  return y;
}

void LayerNorm64(Vec& x, size_t channels, const NormWeights& norm) {
  for (size_t p = 0; p < x.size() / channels; ++p) {
    double mean = 0, variance = 0;
    for (size_t c = 0; c < channels; ++c) mean += x[p * channels + c] / static_cast<double>(channels);
    for (size_t c = 0; c < channels; ++c) {
      variance += std::pow(x[p * channels + c] - mean, 2) / static_cast<double>(channels);
    }
    for (size_t c = 0; c < channels; ++c) {
      double& v = x[p * channels + c];
      v = (v - mean) / std::sqrt(variance + 1e-5) * static_cast<double>(norm.gamma[c]) +
          static_cast<double>(norm.beta[c]);
    }
  }
}

double Clamp6(double v) { return std::min(std::max(v + 3, 0.0), 6.0) / 6; }

class ProjectorTest : public ::testing::Test {
 protected:
  static constexpr size_t kGrid = 6, kVision = 10, kHidden = 20, kSqueeze = 8;

  void Compare(const ProjectorWeights& weights, ProjectorType type, const std::vector<float>& features,
               const Vec& wanted) {
    ProjectorConfig config;
    config.type = type;
    config.vision_hidden = kVision;
    config.hidden = kHidden;
    config.grid = kGrid;
    std::vector<float> tokens(wanted.size());
    ThreadPool pool(2);
    for (const KernelTable* kernels : RunnableKernels()) {
      ProjectorScratch scratch;
      Project({.pool = &pool, .kernels = kernels}, config, weights,
              Mat<const float>(features.data(), kGrid * kGrid, kVision), scratch,
              Mat<float>(tokens.data(), static_cast<size_t>(config.tokens()), kHidden));
      for (size_t i = 0; i < wanted.size(); ++i) {
        ASSERT_NEAR(static_cast<double>(tokens[i]), wanted[i], 2e-5) << kernels->name << " at " << i;
      }
    }
  }

  Maker maker_;
};

TEST_F(ProjectorTest, LdpV2IsMlpThenPoolThenPegOnThePooledMap) {
  LdpV2Weights net;
  Linear64 fc1, fc2;
  net.fc1 = maker_.Matrix(kHidden, kVision, true, fc1);
  net.fc2 = maker_.Matrix(kHidden, kHidden, true, fc2);
  net.peg_weight = maker_.Keep(maker_.Values(kHidden * 9, 0.3));
  net.peg_bias = maker_.Keep(maker_.Values(kHidden, 0.1));
  const std::vector<float> features = maker_.Values(kGrid * kGrid * kVision, 1);

  Vec x = Apply(fc1, Vec(features.begin(), features.end()));
  Gelu64(x);
  x = Apply(fc2, x);
  constexpr size_t kHalf = kGrid / 2;
  Vec pooled(kHalf * kHalf * kHidden);
  for (size_t r = 0; r < kGrid; ++r) {
    for (size_t q = 0; q < kGrid; ++q) {
      for (size_t c = 0; c < kHidden; ++c) {
        pooled[((r / 2) * kHalf + q / 2) * kHidden + c] += x[(r * kGrid + q) * kHidden + c] / 4;
      }
    }
  }
  Vec wanted = Depthwise64(pooled, kHalf, kHidden, net.peg_weight, net.peg_bias, 1);
  for (size_t i = 0; i < wanted.size(); ++i) wanted[i] += pooled[i];
  ProjectorWeights weights;
  weights.net = net;
  Compare(weights, ProjectorType::kLdpV2, features, wanted);
}

TEST_F(ProjectorTest, MlpKeepsEveryPatch) {
  MlpWeights net;
  Linear64 fc1, fc2;
  net.fc1 = maker_.Matrix(kHidden, kVision, true, fc1);
  net.fc2 = maker_.Matrix(kHidden, kHidden, true, fc2);
  const std::vector<float> features = maker_.Values(kGrid * kGrid * kVision, 1);
  Vec x = Apply(fc1, Vec(features.begin(), features.end()));
  Gelu64(x);
  ProjectorWeights weights;
  weights.net = net;
  Compare(weights, ProjectorType::kMlp, features, Apply(fc2, x));
}

TEST_F(ProjectorTest, LdpIsMlpThenTwoInvertedResiduals) {
  LdpWeights net;
  Linear64 fc1, fc2;
  net.fc1 = maker_.Matrix(kHidden, kVision, true, fc1);
  net.fc2 = maker_.Matrix(kHidden, kHidden, true, fc2);
  const std::vector<float> features = maker_.Values(kGrid * kGrid * kVision, 1);
  Vec x = Apply(fc1, Vec(features.begin(), features.end()));
  Gelu64(x);
  x = Apply(fc2, x);

  size_t grid = kGrid;
  for (size_t b = 0; b < 2; ++b) {
    LdpBlockWeights& block = net.blocks[b];
    Linear64 squeeze, excite, pointwise;
    block.depthwise = maker_.Keep(maker_.Values(kHidden * 9, 0.3));
    block.squeeze = maker_.Matrix(kSqueeze, kHidden, true, squeeze);
    block.excite = maker_.Matrix(kHidden, kSqueeze, true, excite);
    block.pointwise = maker_.Matrix(kHidden, kHidden, false, pointwise);
    for (NormWeights* norm : {&block.depthwise_norm, &block.pointwise_norm}) {
      norm->gamma = maker_.Keep(maker_.Values(kHidden, 0.2, 1));
      norm->beta = maker_.Keep(maker_.Values(kHidden, 0.2));
    }
    const size_t stride = b + 1;
    Vec y = Depthwise64(x, grid, kHidden, block.depthwise, {}, stride);
    LayerNorm64(y, kHidden, block.depthwise_norm);
    for (double& v : y) v *= Clamp6(v);
    grid = (grid - 1) / stride + 1;
    Vec mean(kHidden);
    for (size_t i = 0; i < y.size(); ++i) mean[i % kHidden] += y[i] / static_cast<double>(grid * grid);
    Vec gate = Apply(squeeze, mean);
    for (double& v : gate) v = std::max(v, 0.0);
    gate = Apply(excite, gate);
    for (size_t i = 0; i < y.size(); ++i) y[i] *= Clamp6(gate[i % kHidden]);
    y = Apply(pointwise, y);
    LayerNorm64(y, kHidden, block.pointwise_norm);
    if (stride == 1) {
      for (size_t i = 0; i < y.size(); ++i) y[i] += x[i];
    }
    x = y;
  }
  ProjectorWeights weights;
  weights.net = net;
  Compare(weights, ProjectorType::kLdp, features, x);
}

}  // namespace
}  // namespace mobilevlm
