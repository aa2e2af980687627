// What the tests of the tools share.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/test_support.h"
#include "quality/scan.h"

namespace mobilevlm::quality {

class ToolsTest : public testing::Test {
 protected:
  // A file of these samples, opened whatever is wrong with them.
  data::Dataset Open(const std::string& name, const std::vector<std::string>& samples) {
    std::string json = "[\n";
    for (const std::string& sample : samples) {
      if (json.size() > 2) json += ",\n";
      json += sample;
    }
    directory_.Write(name, json + "]");
    return OpenFiles({{directory_.Path(name)}});
  }
  static data::Dataset OpenFiles(std::vector<data::AnnotationSource> sources) {
    auto dataset = data::Dataset::Open(
        {.sources = std::move(sources), .skip_limit = 1, .require_usable = false, .open = {}});
    MVLM_CHECK(dataset.has_value(), "{}", dataset.error().message);
    return *std::move(dataset);
  }
  Work work() { return {pool_}; }
  nlohmann::json ReadJson(const std::string& name) {
    return nlohmann::json::parse(data::Slurp(directory_.Path(name)));
  }
  void WritePicture(const std::string& name, const Image& image) { directory_.Write(name, data::Png(image)); }

  data::TemporaryDirectory directory_;
  ThreadPool pool_{2};
};

}  // namespace mobilevlm::quality
