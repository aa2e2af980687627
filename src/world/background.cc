#include <algorithm>
#include <cmath>

#include "world/render.h"

namespace mobilevlm::world {
namespace {

// Streams of Scene::style; 0 is the background's family (splits.cc).
enum StyleStream : uint64_t { kColourStream = 1, kBackgroundStream = 2 };

uint8_t ToByte(double value) { return static_cast<uint8_t>(std::lround(std::clamp(value, 0.0, 255.0))); }

// hue in turns; saturation and value in [0, 1].
Rgb FromHsv(double hue, double saturation, double value) {
  const auto channel = [&](double offset) {
    const double k = std::fmod(offset + hue * 6, 6);
    return ToByte(255 * value * (1 - saturation * std::clamp(std::min(k, 4 - k), 0.0, 1.0)));
  };
  return {channel(5), channel(3), channel(1)};
}

float Luma(Rgb colour) { return 0.299f * colour.r + 0.587f * colour.g + 0.114f * colour.b; }

// Text needs contrast in brightness, not only in colour.
float Contrast(Rgb foreground, Rgb background, bool text) {
  const float distance = ColourDistance(foreground, background);
  return text ? std::min(distance, 2 * std::abs(Luma(foreground) - Luma(background))) : distance;
}

}  // namespace

float ColourDistance(Rgb a, Rgb b) {
  const float mean_red = (static_cast<float>(a.r) + b.r) / 2;
  const float dr = static_cast<float>(a.r) - b.r;
  const float dg = static_cast<float>(a.g) - b.g;
  const float db = static_cast<float>(a.b) - b.b;
  return std::sqrt((2 + mean_red / 256) * dr * dr + 4 * dg * dg + (2 + (255 - mean_red) / 256) * db * db);
}

std::vector<Rgb> ThingColours(const Scene& scene) {
  Random random = Random::Stream(scene.style, kColourStream);
  std::vector<Rgb> colours;
  for (const Thing& thing : scene.things) {
    if (scene.type == SceneType::kText && !colours.empty()) {
      colours.push_back(colours.front());  // a word has one ink
      continue;
    }
    Rgb colour;
    if (thing.colour >= 0) {
      const Rgb base = kColours[static_cast<size_t>(thing.colour)].rgb;
      const double brightness = random.Uniform(-8, 8);
      const auto vary = [&](uint8_t channel) { return ToByte(channel + brightness + random.Uniform(-6, 6)); };
      const uint8_t r = vary(base.r), g = vary(base.g), b = vary(base.b);
      colour = {r, g, b};
    }
    colours.push_back(colour);
  }
  return colours;
}

Background ChooseBackground(const Scene& scene, const std::vector<Rgb>& thing_colours) {
  constexpr float kEnough = 170;
  Random random = Random::Stream(scene.style, kBackgroundStream);
  Background best;
  float best_contrast = -1;
  for (int attempt = 0; attempt < 64 && best_contrast < kEnough; ++attempt) {
    const double hue = random.Uniform();
    const double saturation = random.Uniform(0.04, 0.36);
    const double value = random.Chance(0.75) ? random.Uniform(0.62, 0.96) : random.Uniform(0.28, 0.62);
    const double step = random.Uniform(0.05, 0.14) * (value > 0.6 ? -1 : 1);
    const double second_hue = hue + random.Uniform(0, 0.12);
    const double second_saturation = saturation * random.Uniform(0.6, 1.3);
    const std::array<Rgb, 2> colours = {FromHsv(hue, saturation, value),
                                        FromHsv(second_hue, second_saturation, value + step)};
    float contrast = kEnough;
    for (size_t i = 0; i < scene.things.size(); ++i) {
      if (scene.things[i].colour < 0) continue;
      for (Rgb background : colours) {
        contrast = std::min(contrast, Contrast(thing_colours[i], background, scene.type == SceneType::kText));
      }
    }
    if (contrast > best_contrast) {
      best_contrast = contrast;
      best.colours = colours;
    }
  }
  best.family = FamilyOf(scene.style);
  // Stripes and checks look like bars and their gridlines.
  const bool patterned =
      best.family == BackgroundFamily::kStripes || best.family == BackgroundFamily::kChecker;
  if (patterned && scene.type == SceneType::kChart) best.family = BackgroundFamily::kGradient;
  return best;
}

}  // namespace mobilevlm::world
