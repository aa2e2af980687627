#include "checkpoint/torch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/read_file.h"

namespace mobilevlm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Written by Python's own pickle and zipfile: see generate.py there.
const std::string kFixtures = MOBILEVLM_SOURCE_DIR "/tests/golden/torch_bin/";

std::string Bytes(const std::string& name) { return ReadFile(kFixtures + name, 1 << 20).value(); }

std::string TorchError(const std::string& bytes) {
  const auto file = TorchFile::Parse(std::as_bytes(std::span(bytes)), "x");
  return file ? "" : file.error().message;
}

std::vector<float> Values(const NamedTensor& tensor) {
  std::vector<float> values(tensor.elements());
  ReadElements(tensor, 0, values.size(), values.data());
  return values;
}

const NamedTensor* Find(const TorchFile& file, const std::string& name) {
  for (const NamedTensor& tensor : file.tensors()) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

class TorchFileTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Layouts, TorchFileTest, ::testing::Values("tensors", "plain_dict", "zip64"));

TEST_P(TorchFileTest, EveryTensorAsPythonSeesIt) {
  const auto file = TorchFile::Open(kFixtures + GetParam() + ".bin");
  ASSERT_TRUE(file) << file.error().message;
  const auto expected = nlohmann::json::parse(Bytes("expected.json"));
  size_t read = 0;
  for (const auto& [name, wanted] : expected.items()) {
    const NamedTensor* tensor = Find(*file, name);
    if (wanted["values"].is_null()) {
      EXPECT_EQ(tensor, nullptr) << name;
      continue;
    }
    ASSERT_NE(tensor, nullptr) << name;
    ++read;
    EXPECT_EQ(tensor->shape, wanted["shape"].get<std::vector<uint64_t>>()) << name;
    EXPECT_EQ(Values(*tensor), wanted["values"].get<std::vector<float>>()) << name;
  }
  EXPECT_EQ(read, 10u);
  EXPECT_EQ(file->tensors().size(), read);
  ASSERT_EQ(file->others().size(), 1u);
  EXPECT_EQ(file->others()[0].name, "position_ids");
  EXPECT_EQ(file->others()[0].dtype, "LongStorage");
}

TEST(TorchFile, OnlyTensorsOutOfOrderKeepStrides) {
  const auto file = TorchFile::Open(kFixtures + "tensors.bin");
  ASSERT_TRUE(file);
  EXPECT_TRUE(Find(*file, "whole")->strides.empty());
  EXPECT_THAT(Find(*file, "transposed")->strides, ElementsAre(1, 6));
  EXPECT_EQ(Find(*file, "whole")->data.data(), Find(*file, "transposed")->data.data());  // shared
  EXPECT_EQ(Find(*file, "whole")->type, DType::kF16);
  EXPECT_EQ(Find(*file, "brain")->type, DType::kBF16);
  EXPECT_EQ(Find(*file, "float")->type, DType::kF32);
}

TEST(TorchFile, PiecesAreTheWhole) {
  const auto file = TorchFile::Open(kFixtures + "tensors.bin");
  ASSERT_TRUE(file);
  for (const std::string name : {"part", "transposed", "repeated"}) {
    const NamedTensor& tensor = *Find(*file, name);
    const std::vector<float> whole = Values(tensor);
    for (size_t first = 0; first < whole.size(); ++first) {
      for (size_t count = 0; first + count <= whole.size(); ++count) {
        std::vector<float> piece(count);
        ReadElements(tensor, first, count, piece.data());
        EXPECT_TRUE(std::equal(piece.begin(), piece.end(), whole.begin() + static_cast<ptrdiff_t>(first)));
      }
    }
  }
}

TEST(TorchFileBad, NothingIsExecuted) {
  std::filesystem::remove("executed");
  const std::string error = TorchError(Bytes("os_system.bin"));
  EXPECT_THAT(error, HasSubstr("posix.system"));
  EXPECT_THAT(error, HasSubstr("refused"));
  EXPECT_FALSE(std::filesystem::exists("executed"));
}

TEST(TorchFileBad, Archives) {
  EXPECT_THAT(TorchError(""), HasSubstr("zip format"));
  EXPECT_THAT(TorchError("\x80\x02\x8a"), HasSubstr("PyTorch 1.6"));
  EXPECT_THAT(TorchError(Bytes("compressed.bin")), HasSubstr("is compressed (method 8"));
  EXPECT_THAT(TorchError(Bytes("missing_data.bin")), HasSubstr("missing_data/data/1 is missing"));
}

TEST(TorchFileBad, TensorsOutsideTheirStorage) {
  EXPECT_THAT(TorchError(Bytes("outside.bin")), HasSubstr("shape [2, 2] with strides [2, 1] at 3 leaves"));
  EXPECT_THAT(TorchError(Bytes("overflow.bin")), HasSubstr("absurd"));
  EXPECT_THAT(TorchError(Bytes("negative.bin")), HasSubstr("natural number"));
}

// Replaces `from`, which occurs, by `to` of the same length.
std::string Changed(std::string bytes, const std::string& from, const std::string& to) {
  const size_t at = bytes.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return bytes.replace(at, from.size(), to);
}

TEST(TorchFileBad, ChangedBytes) {
  const std::string good = Bytes("tensors.bin");
  ASSERT_EQ(TorchError(good), "");
  EXPECT_THAT(TorchError(Changed(good, "HalfStorage", "DataStorage")), HasSubstr("torch.DataStorage"));
  EXPECT_THAT(TorchError(Changed(good, "_rebuild_tensor_v2", "_rebuild_tensor_v3")),
              HasSubstr("torch._utils._rebuild_tensor_v3"));
  EXPECT_THAT(TorchError(Changed(good, "brain", "float")), HasSubstr("tensor float appears twice"));
  const std::string brain("X\5\0\0\0brain", 10);
  EXPECT_THAT(TorchError(Changed(good, brain, "X\377\377\377\377brain")), HasSubstr("pickle byte"));
  EXPECT_THAT(TorchError(Changed(good, "little", "bigbig")), HasSubstr("byte order"));
}

TEST(TorchFileBad, TruncatedAnywhere) {
  for (const std::string name : {"tensors.bin", "zip64.bin"}) {
    const std::string bytes = Bytes(name);
    for (size_t size = 0; size < bytes.size(); ++size)
      EXPECT_NE(TorchError(bytes.substr(0, size)), "") << size;
  }
}

// Any one byte changed: an answer, whichever, and every tensor lies inside the file.
TEST(TorchFileBad, EveryByteChanged) {
  const std::string good = Bytes("zip64.bin");
  for (size_t i = 0; i < good.size(); ++i) {
    for (const int change : {1, 0x80, 0xFF}) {
      std::string bytes = good;
      bytes[i] = static_cast<char>(bytes[i] ^ change);
      const auto file = TorchFile::Parse(std::as_bytes(std::span(bytes)), "x");
      if (!file) continue;
      for (const NamedTensor& tensor : file->tensors()) {
        if (tensor.elements() <= 4096) (void)Values(tensor);
      }
    }
  }
}

}  // namespace
}  // namespace mobilevlm
