// What tests of the converter share: directories that vanish, comparisons of whole files, checkpoints in
// every layout.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/read_file.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/weight_files.h"
#include "gguf/reader.h"
#include "quantize/encode.h"
#include "synth/torch_writer.h"
#include "tensor/dequantize.h"

namespace mobilevlm {

inline const std::string kGolden = MOBILEVLM_SOURCE_DIR "/tests/golden/";

// A fresh directory that vanishes with the test.
class DirectoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    std::string name = fmt::format("mobilevlm_{}_{}", info->test_suite_name(), info->name());
    std::replace(name.begin(), name.end(), '/', '_');
    directory_ = std::filesystem::path(::testing::TempDir()) / name;
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string Path(const std::string& name) const { return (directory_ / name).string(); }

  std::filesystem::path directory_;
};

// A tensor with its values, to be changed and written in any layout.
struct TestTensor {
  std::vector<uint64_t> shape;
  std::vector<float> values;
};
using TestTensors = std::map<std::string, TestTensor>;

inline TestTensors ReadTensors(const std::string& directory) {
  const auto files = WeightFiles::Open(directory);
  EXPECT_TRUE(files) << files.error().message;
  TestTensors tensors;
  for (const NamedTensor* tensor : files->tensors()) {
    TestTensor& copy = tensors[tensor->name];
    copy.shape = tensor->shape;
    copy.values.resize(tensor->elements());
    ReadElements(*tensor, 0, copy.values.size(), copy.values.data());
  }
  return tensors;
}

inline std::vector<std::byte> Encoded(DType type, const std::vector<float>& values) {
  std::vector<std::byte> bytes(*RowBytes(type, values.size()));
  Encode(type, values.data(), values.size(), nullptr, bytes.data());
  return bytes;
}

inline StreamedTensor Streamed(const std::string& name, const TestTensor& tensor, DType type) {
  return {name, type, tensor.shape, [&tensor, type](const StreamedTensor::ByteSink& sink) {
            return sink(Encoded(type, tensor.values));
          }};
}

inline void WriteWeights(const std::string& path, const TestTensors& tensors, DType type) {
  std::vector<StreamedTensor> streamed;
  for (const auto& [name, tensor] : tensors) streamed.push_back(Streamed(name, tensor, type));
  const Status status =
      path.ends_with(".bin") ? WriteTorchFile(path, streamed) : WriteSafetensors(path, streamed);
  ASSERT_TRUE(status) << status.error().message;
}

// config.json and tokenizer.model of `model`, with the weights in `shards` files of that extension.
inline void WriteDirectory(const std::string& directory, const std::string& model, const TestTensors& tensors,
                           DType type, const std::string& extension = "safetensors", size_t shards = 1) {
  std::filesystem::create_directories(directory);
  for (const char* name : {"config.json", "tokenizer.model"}) {
    std::filesystem::copy_file(kGolden + model + "/hf/" + name, directory + "/" + name,
                               std::filesystem::copy_options::overwrite_existing);
  }
  const std::string stem = extension == "bin" ? "pytorch_model" : "model";
  if (shards == 1) return WriteWeights(fmt::format("{}/{}.{}", directory, stem, extension), tensors, type);
  std::vector<TestTensors> parts(shards);
  nlohmann::json index = {{"metadata", {{"total_size", 0}}}};
  size_t at = 0;
  for (const auto& [name, tensor] : tensors) {
    const size_t part = at++ % shards;  // alternating: no layer is whole in one file
    parts[part][name] = tensor;
    index["weight_map"][name] = fmt::format("{}-{:05}-of-{:05}.{}", stem, part + 1, shards, extension);
  }
  for (size_t i = 0; i < shards; ++i) {
    WriteWeights(fmt::format("{}/{}-{:05}-of-{:05}.{}", directory, stem, i + 1, shards, extension), parts[i],
                 type);
  }
  ASSERT_TRUE(
      WriteFileAtomically(fmt::format("{}/{}.{}.index.json", directory, stem, extension), index.dump()));
}

// Replaces `from`, which occurs, in directory/config.json.
inline void EditConfig(const std::string& directory, const std::string& from, const std::string& to) {
  std::string text = ReadFile(directory + "/config.json", 1 << 20).value();
  const size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  ASSERT_TRUE(WriteFileAtomically(directory + "/config.json", text));
}

inline std::vector<float> Values(const GgufTensor& tensor) {
  return DequantizeTensor(tensor.type, tensor.data);
}

inline void ExpectSameTensors(const GgufFile& found, const GgufFile& wanted) {
  ASSERT_EQ(found.tensors().size(), wanted.tensors().size());
  for (const GgufTensor& tensor : wanted.tensors()) {
    const GgufTensor* ours = found.FindTensor(tensor.name);
    ASSERT_NE(ours, nullptr) << tensor.name;
    EXPECT_EQ(ours->type, tensor.type) << tensor.name;
    EXPECT_EQ(ours->shape, tensor.shape) << tensor.name;
    EXPECT_EQ(Values(*ours), Values(tensor)) << tensor.name;
  }
}

// `tensors` of both files, whose name alone may differ.
inline void ExpectSameFile(const std::string& found, const std::string& wanted) {
  SCOPED_TRACE(wanted);
  const auto a = GgufFile::Open(found);
  const auto b = GgufFile::Open(wanted);
  ASSERT_TRUE(a) << a.error().message;
  ASSERT_TRUE(b) << b.error().message;
  ExpectSameTensors(*a, *b);
  EXPECT_EQ(a->GetStrings("tokenizer.ggml.tokens").value_or(std::vector<std::string>()),
            b->GetStrings("tokenizer.ggml.tokens").value_or(std::vector<std::string>()));
  EXPECT_EQ(a->metadata().size(), b->metadata().size());
}

}  // namespace mobilevlm
