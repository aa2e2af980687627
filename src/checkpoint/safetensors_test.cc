#include "checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "base/read_file.h"
#include "checkpoint/hf_directory.h"

namespace mobilevlm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kGolden = MOBILEVLM_SOURCE_DIR "/tests/golden/";

std::string TemporaryPath(const std::string& name) {
  return (std::filesystem::path(::testing::TempDir()) / ("mobilevlm_safetensors_" + name)).string();
}

std::string FileBytes(std::string_view header, size_t data) {
  const uint64_t length = header.size();
  std::string bytes(reinterpret_cast<const char*>(&length), 8);
  bytes += header;
  bytes.append(data, 'x');
  return bytes;
}

std::string ErrorOf(std::string_view bytes) {
  const std::vector<char> copy(bytes.begin(), bytes.end());
  const auto file = SafetensorsFile::Parse(std::as_bytes(std::span(copy)), "x");
  return file ? "" : file.error().message;
}

std::string ErrorOf(std::string_view header, size_t data) { return ErrorOf(FileBytes(header, data)); }

TEST(Safetensors, WhatIsWrittenIsRead) {
  const std::string path = TemporaryPath("roundtrip");
  const std::vector<float> floats{1, 2, 3, 4, 5, 6};
  const std::vector<uint16_t> halves{0x3C00, 0x4000, 0xC000};
  const float scalar = 7;
  const std::vector<NamedTensor> tensors{
      {"half", DType::kF16, {3}, std::as_bytes(std::span(halves))},
      {"float \"quoted\"", DType::kF32, {2, 3}, std::as_bytes(std::span(floats))},
      {"scalar", DType::kF32, {}, std::as_bytes(std::span(&scalar, 1))},
      {"bf", DType::kBF16, {3, 1}, std::as_bytes(std::span(halves))},
      {"empty", DType::kF32, {0, 4}, {}}};
  ASSERT_TRUE(WriteSafetensors(path, tensors, {{"step", "12"}}));
  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->tensors().size(), tensors.size());
  EXPECT_EQ(file->metadata().at("step"), "12");
  for (const NamedTensor& wanted : tensors) {
    const NamedTensor* found = file->Find(wanted.name);
    ASSERT_NE(found, nullptr) << wanted.name;
    EXPECT_EQ(found->type, wanted.type);
    EXPECT_EQ(found->shape, wanted.shape);
    ASSERT_EQ(found->data.size(), wanted.data.size());
    if (wanted.data.empty()) continue;
    EXPECT_EQ(std::memcmp(found->data.data(), wanted.data.data(), wanted.data.size()), 0) << wanted.name;
    const size_t alignment = wanted.type == DType::kF32 ? 4 : 2;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(found->data.data()) % alignment, 0u) << wanted.name;
  }
  std::filesystem::remove(path);
}

TEST(Safetensors, ReadsFilesOfOtherPrograms) {
  const auto hf = HfDirectory::Open(kGolden + "nano80-ldp/hf");
  ASSERT_TRUE(hf) << hf.error().message;
  EXPECT_EQ(hf->config.llm.head_dim, 80);
  const auto tensor = hf->weights.Require("model.mm_projector.model.mb_block.1.block.1.fc1.weight");
  ASSERT_TRUE(tensor) << tensor.error().message;
  EXPECT_THAT((*tensor)->shape, ElementsAre(40, 160, 1, 1));
  EXPECT_EQ((*tensor)->type, DType::kF16);
  EXPECT_THAT(hf->weights.Require("nothing").error().message, HasSubstr("tensor nothing is missing"));
}

TEST(Safetensors, OtherTypesAreListedAndNotRead) {
  const std::string bytes = FileBytes(R"({"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
                                      R"("b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
                                      12);
  const auto file = SafetensorsFile::Parse(std::as_bytes(std::span(bytes)), "x");
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->others().size(), 1u);
  EXPECT_EQ(file->others()[0].dtype, "I64");
  EXPECT_EQ(file->Require("a").error().message, "x: tensor a: wanted F32, F16 or BF16, found I64");
  EXPECT_TRUE(file->Require("b"));
}

TEST(SafetensorsBad, Headers) {
  EXPECT_FALSE(SafetensorsFile::Open(TemporaryPath("missing")));
  EXPECT_THAT(ErrorOf(""), HasSubstr("no safetensors file"));
  EXPECT_THAT(ErrorOf("1234567"), HasSubstr("no safetensors file"));
  for (const uint64_t length : {uint64_t{1} << 63, ~uint64_t{0}, uint64_t{3}, uint64_t{100'000'001}}) {
    std::string bytes(reinterpret_cast<const char*>(&length), 8);
    EXPECT_THAT(ErrorOf(bytes + "{}"), HasSubstr("truncated")) << length;
  }
  EXPECT_EQ(ErrorOf("{}", 0), "");
  EXPECT_EQ(ErrorOf("{}     ", 0), "");
  EXPECT_THAT(ErrorOf("{", 0), HasSubstr("x: the safetensors header: not valid JSON"));
  EXPECT_THAT(ErrorOf("[]", 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(ErrorOf(std::string(100000, '['), 0), HasSubstr("nested at most 256 deep, found 100000"));
  EXPECT_THAT(ErrorOf("{}", 1), HasSubstr("1 bytes of data, but the tensors take 0"));
}

TEST(SafetensorsBad, Tensors) {
  const auto one = [](std::string_view dtype, std::string_view shape, std::string_view offsets) {
    return ErrorOf(
        fmt::format(R"({{"t":{{"dtype":{},"shape":{},"data_offsets":{}}}}})", dtype, shape, offsets), 16);
  };
  EXPECT_EQ(one(R"("F32")", "[2,2]", "[0,16]"), "");
  EXPECT_THAT(one(R"("F32")", "[2,3]", "[0,16]"), HasSubstr("F32 of shape [2, 3] does not take 16 bytes"));
  EXPECT_THAT(one(R"("F16")", "[2,2]", "[0,16]"), HasSubstr("does not take 16 bytes"));
  EXPECT_THAT(one(R"("F32")", "[4611686018427387904,4]", "[0,16]"), HasSubstr("does not take"));
  EXPECT_THAT(one(R"("F32")", "[-4]", "[0,16]"), HasSubstr("shape: wanted"));
  EXPECT_THAT(one(R"("F32")", "4", "[0,16]"), HasSubstr("shape: wanted"));
  EXPECT_THAT(one(R"("F32")", "[4]", "[0,17]"), HasSubstr("within 16 bytes of data: truncated?"));
  EXPECT_THAT(one(R"("F32")", "[4]", "[16,0]"), HasSubstr("data_offsets"));
  EXPECT_THAT(one(R"("F32")", "[4]", "[0.5,16]"), HasSubstr("data_offsets"));
  EXPECT_THAT(one(R"("F32")", "[4]", "[0]"), HasSubstr("data_offsets"));
  EXPECT_THAT(one("7", "[4]", "[0,16]"), HasSubstr("wanted dtype, shape and data_offsets"));
  EXPECT_THAT(one(R"("F32")", "[3]", "[4,16]"), HasSubstr("begins at 4, wanted 0"));
  EXPECT_THAT(one(R"("F32")", "[3]", "[0,12]"), HasSubstr("16 bytes of data, but the tensors take 12"));
  EXPECT_THAT(ErrorOf(R"({"t":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},)"
                      R"("u":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})",
                      16),
              HasSubstr("tensor u begins at 8, wanted 16: overlapping"));
  EXPECT_THAT(ErrorOf(R"({"t":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},)"
                      R"("t":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})",
                      16),
              HasSubstr("tensor t appears twice"));
  EXPECT_THAT(ErrorOf(R"({"__metadata__":{"a":1}})", 0), HasSubstr("wanted strings only"));
}

TEST(SafetensorsBad, TruncatedAnywhere) {
  const std::string bytes = ReadFile(kGolden + "nano-ldpv2/hf/model.safetensors", 1 << 24).value();
  ASSERT_EQ(ErrorOf(bytes), "");
  for (size_t size = 0; size < bytes.size(); size += 9973) {
    EXPECT_NE(ErrorOf(std::string_view(bytes).substr(0, size)), "") << size;
  }
  EXPECT_NE(ErrorOf(std::string_view(bytes).substr(0, bytes.size() - 1)), "");
  EXPECT_NE(ErrorOf(bytes + "x"), "");
}

}  // namespace
}  // namespace mobilevlm
