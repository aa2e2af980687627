// For the tests of this folder: a directory of their own, small pictures, annotation files.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "base/check.h"
#include "base/random.h"
#include "image/png_write.h"

namespace mobilevlm::data {

// Exists as long as the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "mobilevlm-data-XXXXXX").string();
    MVLM_CHECK(::mkdtemp(name.data()) != nullptr, "{}", name);
    path_ = name;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string Path(const std::string& name = "") const { return (path_ / name).string(); }
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(Path(name), std::ios::binary) << bytes;
    return Path(name);
  }

 private:
  std::filesystem::path path_;
};

inline std::string Slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

// A picture with structure of its own: a few rectangles over a slope, all from the seed.
inline Image RandomPicture(uint64_t seed, int width = 96, int height = 72) {
  Random random(seed);
  Image image(width, height);
  const int slope = random.Between(1, 3);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        image.at(x, y)[c] = static_cast<uint8_t>((x * slope * (c + 1) + y * 2) % 120 + 60);
      }
    }
  }
  for (int i = 0; i < 6; ++i) {
    const int left = random.Between(0, width - 20), top = random.Between(0, height - 20);
    const int right = left + random.Between(10, 19), bottom = top + random.Between(10, 19);
    const uint8_t colour[3] = {static_cast<uint8_t>(random.Below(256)),
                               static_cast<uint8_t>(random.Below(256)),
                               static_cast<uint8_t>(random.Below(256))};
    for (int y = top; y < bottom; ++y) {
      for (int x = left; x < right; ++x) std::copy_n(colour, 3, image.at(x, y));
    }
  }
  return image;
}

inline std::string Png(const Image& image) {
  auto bytes = EncodePng(image);
  MVLM_CHECK(bytes.has_value(), "{}", bytes.error().message);
  return *bytes;
}

// One sample with one question; no picture if `image` is empty.
inline std::string SampleJson(const std::string& id, const std::string& image, const std::string& question,
                              const std::string& answer) {
  const std::string picture = image.empty() ? "" : fmt::format(R"("image": "{}", )", image);
  const std::string_view mark = image.empty() ? "" : "<image>\\n";
  return fmt::format(R"({{"id": "{}", {}"conversations": [{{"from": "human", "value": "{}{}"}}, )", id,
                     picture, mark, question) +
         fmt::format(R"({{"from": "gpt", "value": "{}"}}]}})", answer);
}

}  // namespace mobilevlm::data
