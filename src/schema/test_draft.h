// For tests: where the nano models are, and Draft, a small valid model file to be bent one key or tensor at a
// time.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gguf/reader.h"
#include "gguf/writer.h"

namespace mobilevlm {

inline const std::string kGolden = MOBILEVLM_SOURCE_DIR "/tests/golden/";

// The metadata and tensors of a small valid file, to be bent by each test.
struct Draft {
  std::map<std::string, std::function<void(GgufWriter&, const std::string&)>> keys;
  std::map<std::string, std::pair<DType, std::vector<uint64_t>>> tensors;

  Draft& U32(const std::string& key, uint32_t value) {
    keys[key] = [value](GgufWriter& out, const std::string& k) { out.SetU32(k, value); };
    return *this;
  }
  Draft& F32(const std::string& key, float value) {
    keys[key] = [value](GgufWriter& out, const std::string& k) { out.SetF32(k, value); };
    return *this;
  }
  Draft& Bool(const std::string& key, bool value) {
    keys[key] = [value](GgufWriter& out, const std::string& k) { out.SetBool(k, value); };
    return *this;
  }
  Draft& Text(const std::string& key, const std::string& value) {
    keys[key] = [value](GgufWriter& out, const std::string& k) { out.SetString(k, value); };
    return *this;
  }
  Draft& Ints(const std::string& key, std::vector<int32_t> values) {
    keys[key] = [values](GgufWriter& out, const std::string& k) { out.SetI32s(k, values); };
    return *this;
  }
  Draft& Floats(const std::string& key, std::vector<float> values) {
    keys[key] = [values](GgufWriter& out, const std::string& k) { out.SetF32s(k, values); };
    return *this;
  }
  Draft& Without(const std::string& key) {
    keys.erase(key);
    return *this;
  }
  Draft& Tensor(const std::string& name, std::vector<uint64_t> shape, DType type = DType::kF32) {
    tensors[name] = {type, std::move(shape)};
    return *this;
  }

  GgufFile File() const {
    GgufWriter out;
    for (const auto& [key, set] : keys) set(out, key);
    for (const auto& [name, tensor] : tensors) {
      const auto& [type, shape] = tensor;
      uint64_t size = RowBytes(type, shape.back()).value();
      for (size_t i = 0; i + 1 < shape.size(); ++i) size *= shape[i];
      out.AddTensor(name, type, shape, [size] { return std::vector<std::byte>(size); });
    }
    // Named by the test: ctest runs them at the same time.
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    const std::string path =
        fmt::format("{}/mobilevlm_{}.{}.gguf", ::testing::TempDir(), test->test_suite_name(), test->name());
    EXPECT_TRUE(out.Write(path));
    auto file = GgufFile::Open(path);
    EXPECT_TRUE(file) << file.error().message;
    std::filesystem::remove(path);  // the mapping stays
    return *std::move(file);
  }
};

inline Draft TextDraft() {
  Draft draft;
  draft.Text("general.architecture", "llama").U32("llama.context_length", 128);
  draft.U32("llama.embedding_length", 48).U32("llama.block_count", 2).U32("llama.feed_forward_length", 64);
  draft.U32("llama.attention.head_count", 4).F32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  draft.keys["tokenizer.ggml.tokens"] = [](GgufWriter& out, const std::string& key) {
    out.SetStrings(key, std::vector<std::string>{"<unk>", "<s>", "</s>"});
  };
  return draft;
}

inline Draft MmprojDraft() {
  Draft draft;
  draft.Text("general.architecture", "clip").Text("clip.projector_type", "ldpv2");
  draft.U32("clip.vision.image_size", 32).U32("clip.vision.patch_size", 8);
  draft.U32("clip.vision.embedding_length", 24).U32("clip.vision.feed_forward_length", 40);
  draft.U32("clip.vision.attention.head_count", 3).U32("clip.vision.block_count", 3);
  draft.F32("clip.vision.attention.layer_norm_epsilon", 1e-5f);
  draft.Floats("clip.vision.image_mean", {0.5f, 0.5f, 0.5f}).Floats("clip.vision.image_std", {1, 1, 1});
  draft.Tensor("mm.model.peg.0.bias", {48});
  return draft;
}

}  // namespace mobilevlm
