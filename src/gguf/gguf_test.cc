#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <limits>
#include <numeric>

#include "base/read_file.h"
#include "gguf/reader.h"
#include "gguf/writer.h"

namespace mobilevlm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kGolden = MOBILEVLM_SOURCE_DIR "/tests/golden/";

std::string TemporaryPath(const std::string& name) {
  return (std::filesystem::path(::testing::TempDir()) / ("mobilevlm_gguf_" + name)).string();
}

// Bytes of a GGUF file, put together by hand so that they can be wrong.
class Builder {
 public:
  template <class T>
  Builder& Put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
    return *this;
  }
  Builder& String(std::string_view text) {
    Put<uint64_t>(text.size());
    bytes_.append(text);
    return *this;
  }
  Builder& Header(uint64_t tensors, uint64_t metadata, uint32_t version = 3) {
    return Put(kGgufMagic).Put(version).Put(tensors).Put(metadata);
  }
  Builder& Tensor(std::string_view name, std::vector<uint64_t> innermost_first, uint32_t type,
                  uint64_t offset) {
    String(name).Put(static_cast<uint32_t>(innermost_first.size()));
    for (const uint64_t extent : innermost_first) Put(extent);
    return Put(type).Put(offset);
  }
  // Padding to 32 and `size` bytes of data.
  Builder& Data(size_t size) {
    bytes_.resize((bytes_.size() + 31) / 32 * 32 + size);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Parses a copy of exactly the given size, so that a sanitizer sees one byte too far.
std::string ErrorOf(std::string_view bytes) {
  const std::vector<char> copy(bytes.begin(), bytes.end());
  const auto file = GgufFile::Parse(std::as_bytes(std::span(copy)), "x.gguf");
  return file ? "" : file.error().message;
}

std::string ErrorOf(const Builder& builder) { return ErrorOf(builder.bytes()); }

GgufWriter::DataProvider Constant(std::vector<std::byte> bytes) {
  return [bytes] { return bytes; };
}

std::vector<std::byte> Counting(size_t size) {
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
  return bytes;
}

TEST(Gguf, WhatIsWrittenIsRead) {
  const std::string path = TemporaryPath("roundtrip");
  GgufWriter out;
  const std::vector<std::string> strings{"a", "", "\xE2\x96\x81 b"};
  const std::vector<int32_t> ints{-1, 0, 7};
  const std::vector<float> floats{0.5f, -2.0f};
  out.SetString("general.architecture", "llama");
  out.SetU32("u", 4000000000u);
  out.SetF32("f", 1e-6f);
  out.SetBool("b", true);
  out.SetStrings("strings", strings);
  out.SetI32s("ints", ints);
  out.SetF32s("floats", floats);
  out.SetStrings("none", {});
  out.AddTensor("odd", DType::kF32, {3, 5}, Constant(Counting(60)));
  out.AddTensor("vector", DType::kF16, {7}, Constant(Counting(14)));
  out.AddTensor("blocks", DType::kQ8_0, {2, 64}, Constant(Counting(136)));
  out.AddTensor("conv", DType::kF16, {2, 3, 1, 4}, Constant(Counting(48)));
  ASSERT_TRUE(out.Write(path));

  const auto file = GgufFile::Open(path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->version(), 3u);
  EXPECT_EQ(file->GetU32("u").value(), 4000000000u);
  EXPECT_EQ(file->GetF32("f").value(), 1e-6f);
  EXPECT_TRUE(file->GetBool("b").value());
  EXPECT_EQ(file->GetString("general.architecture").value(), "llama");
  EXPECT_EQ(file->GetStrings("strings").value(), strings);
  EXPECT_THAT(file->GetInts("ints").value(), ElementsAre(-1, 0, 7));
  EXPECT_EQ(file->GetF32s("floats").value(), floats);
  EXPECT_TRUE(file->GetStrings("none")->empty());
  ASSERT_EQ(file->tensors().size(), 4u);
  EXPECT_EQ(file->tensors()[3].name, "conv");
  for (const auto& [name, size] : {std::pair("odd", 60), {"vector", 14}, {"blocks", 136}, {"conv", 48}}) {
    const GgufTensor* tensor = file->FindTensor(name);
    ASSERT_NE(tensor, nullptr) << name;
    const std::vector<std::byte> wanted = Counting(static_cast<size_t>(size));
    EXPECT_TRUE(std::equal(tensor->data.begin(), tensor->data.end(), wanted.begin(), wanted.end())) << name;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor->data.data()) % 32, 0u) << name;
  }
  EXPECT_THAT(file->FindTensor("conv")->shape, ElementsAre(2, 3, 1, 4));
  EXPECT_EQ(file->FindTensor("blocks")->type, DType::kQ8_0);
  EXPECT_EQ(file->FindTensor("absent"), nullptr);
  std::filesystem::remove(path);
}

// Every type of value is copied from file to file as it was.
TEST(Gguf, ValuesAreCopiedAsTheyWere) {
  Builder source;
  source.Header(0, 13);
  source.String("u8").Put(GgufType::kU8).Put(uint8_t{200});
  source.String("i8").Put(GgufType::kI8).Put(int8_t{-100});
  source.String("u16").Put(GgufType::kU16).Put(uint16_t{60000});
  source.String("i16").Put(GgufType::kI16).Put(int16_t{-30000});
  source.String("u32").Put(GgufType::kU32).Put(uint32_t{4000000000});
  source.String("i32").Put(GgufType::kI32).Put(int32_t{-2000000000});
  source.String("u64").Put(GgufType::kU64).Put(~uint64_t{0});
  source.String("i64").Put(GgufType::kI64).Put(std::numeric_limits<int64_t>::min());
  source.String("f32").Put(GgufType::kF32).Put(0.1f);
  source.String("f64").Put(GgufType::kF64).Put(0.1);
  source.String("bool").Put(GgufType::kBool).Put(uint8_t{1});
  source.String("string").Put(GgufType::kString).String("text");
  source.String("array").Put(GgufType::kArray).Put(GgufType::kString).Put(uint64_t{2}).String("a").String("");
  const auto file = GgufFile::Parse(std::as_bytes(std::span(source.bytes())), "source");
  ASSERT_TRUE(file) << file.error().message;
  GgufWriter out;
  for (const auto& [key, value] : file->metadata()) out.Set(key, value);
  const std::string path = TemporaryPath("copied");
  ASSERT_TRUE(out.Write(path));
  const std::string copied = ReadFile(path, 1 << 20).value();
  EXPECT_EQ(copied.substr(0, source.bytes().size()), source.bytes());
  std::filesystem::remove(path);
}

TEST(Gguf, TensorsInParts) {
  const std::string path = TemporaryPath("parts");
  GgufWriter out;
  out.AddStreamedTensor("t", DType::kF32, {2, 4}, [](const GgufWriter::ByteSink& sink) -> Status {
    const std::vector<std::byte> data = Counting(32);
    MVLM_TRY(sink(std::span(data).first(5)));
    MVLM_TRY(sink(std::span(data).subspan(5)));
    return {};
  });
  ASSERT_TRUE(out.Write(path));
  const auto file = GgufFile::Open(path);
  ASSERT_TRUE(file) << file.error().message;
  const std::vector<std::byte> wanted = Counting(32);
  EXPECT_TRUE(std::equal(wanted.begin(), wanted.end(), file->FindTensor("t")->data.begin()));
  std::filesystem::remove(path);
}

TEST(Gguf, FailedTensorLeavesNoFile) {
  const std::string path = TemporaryPath("failed");
  GgufWriter out;
  out.AddTensor("t", DType::kF32, {1}, []() -> Result<std::vector<std::byte>> { return Fail("no data"); });
  EXPECT_EQ(out.Write(path).error().message, "no data");
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Gguf, ReadsFilesOfOtherPrograms) {
  const auto file = GgufFile::Open(kGolden + "nano-ldpv2/text.gguf");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->GetU32("llama.embedding_length").value(), 64u);
  EXPECT_EQ(file->GetStrings("tokenizer.ggml.tokens")->size(), 768u);
  EXPECT_EQ(file->GetStrings("tokenizer.ggml.tokens")->at(2), "</s>");
  EXPECT_EQ(file->GetInts("tokenizer.ggml.token_type")->at(3), 6);
  EXPECT_EQ(file->GetF32s("tokenizer.ggml.scores")->size(), 768u);
  const GgufTensor* down = file->FindTensor("blk.1.ffn_down.weight");
  ASSERT_NE(down, nullptr);
  EXPECT_EQ(ShapeText(down->shape), "[64, 192]");
  EXPECT_EQ(down->data.size(), 64u * 192u * 2u);
  EXPECT_EQ(GgufFile::Open(kGolden + "quants/every_type.gguf")->tensors().size(), 12u);
}

TEST(Gguf, GettersSayWhatTheyWanted) {
  const auto file = GgufFile::Open(kGolden + "nano-ldpv2/text.gguf");
  ASSERT_TRUE(file);
  EXPECT_THAT(file->GetU32("llama.nothing").error().message, HasSubstr("key llama.nothing is missing"));
  EXPECT_THAT(file->GetU32("general.name").error().message, HasSubstr("wanted an integer, found string"));
  EXPECT_THAT(file->GetF32("llama.block_count").error().message, HasSubstr("wanted f32, found u32"));
  EXPECT_THAT(file->GetBool("llama.block_count").error().message, HasSubstr("wanted bool, found u32"));
  EXPECT_THAT(file->GetString("llama.block_count").error().message, HasSubstr("wanted string, found u32"));
  EXPECT_THAT(file->GetInts("tokenizer.ggml.tokens").error().message,
              HasSubstr("wanted an array of integers, found an array of string"));
  EXPECT_THAT(file->GetF32s("general.name").error().message, HasSubstr("wanted an array, found string"));
  EXPECT_THAT(file->GetStrings("tokenizer.ggml.scores").error().message, HasSubstr("found an array of f32"));
}

TEST(Gguf, IntegersOfAnyWidthIfTheyFit) {
  Builder b;
  b.Header(0, 4);
  b.String("i8").Put(GgufType::kI8).Put(int8_t{-3});
  b.String("u64").Put(GgufType::kU64).Put(uint64_t{5});
  b.String("big").Put(GgufType::kU64).Put(uint64_t{1} << 32);
  b.String("i16s")
      .Put(GgufType::kArray)
      .Put(GgufType::kI16)
      .Put(uint64_t{2})
      .Put(int16_t{-2})
      .Put(int16_t{9});
  const auto file = GgufFile::Parse(std::as_bytes(std::span(b.bytes())), "x");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->GetU32("u64").value(), 5u);
  EXPECT_THAT(file->GetU32("i8").error().message, HasSubstr("found -3"));
  EXPECT_THAT(file->GetU32("big").error().message, HasSubstr("found 4294967296"));
  EXPECT_THAT(file->GetInts("i16s").value(), ElementsAre(-2, 9));
}

TEST(GgufBad, NotAModelFile) {
  EXPECT_FALSE(GgufFile::Open(TemporaryPath("missing")));
  EXPECT_FALSE(GgufFile::Open(::testing::TempDir()));
  EXPECT_THAT(ErrorOf(""), HasSubstr("the file is empty"));
  EXPECT_THAT(ErrorOf("\x89PNG\r\n\x1a\n and more"), HasSubstr("not a GGUF file"));
  EXPECT_THAT(ErrorOf("GG"), HasSubstr("not a GGUF file"));
  EXPECT_THAT(ErrorOf(Builder().Header(0, 0, 1)), HasSubstr("version 1, wanted 2 or 3"));
  EXPECT_THAT(ErrorOf(Builder().Header(0, 0, 4)), HasSubstr("version 4, wanted 2 or 3"));
  EXPECT_THAT(ErrorOf(Builder().Header(0, 0, 3u << 24)), HasSubstr("big-endian"));
  EXPECT_EQ(ErrorOf(Builder().Header(0, 0, 2)), "");
}

TEST(GgufBad, CountsBeyondTheFile) {
  for (const uint64_t count : {uint64_t{1}, uint64_t{1} << 32, ~uint64_t{0}}) {
    EXPECT_THAT(ErrorOf(Builder().Header(count, 0)), HasSubstr("more than"));
    EXPECT_THAT(ErrorOf(Builder().Header(0, count)), HasSubstr("more than"));
    // Long enough for the check of the header to pass when the count is small.
    EXPECT_NE(ErrorOf(Builder().Header(0, count).Put(count).Data(64)), "");
    Builder strings;
    strings.Header(0, 1).String("k").Put(GgufType::kArray).Put(GgufType::kString).Put(count + 8).Data(40);
    EXPECT_NE(ErrorOf(strings), "");
    Builder numbers;
    numbers.Header(0, 1).String("k").Put(GgufType::kArray).Put(GgufType::kF64).Put(count + 8).Data(40);
    EXPECT_THAT(ErrorOf(numbers), HasSubstr("truncated"));
  }
}

TEST(GgufBad, Metadata) {
  Builder nested;
  nested.Header(0, 1).String("k").Put(GgufType::kArray).Put(GgufType::kArray).Put(uint64_t{1}).Data(64);
  EXPECT_THAT(ErrorOf(nested), HasSubstr("array of arrays"));
  Builder twice;
  for (twice.Header(0, 2); twice.bytes().size() < 50;) twice.String("k").Put(GgufType::kU8).Put(uint8_t{1});
  EXPECT_THAT(ErrorOf(twice), HasSubstr("key k appears twice"));
  EXPECT_THAT(ErrorOf(Builder().Header(0, 1).String("k").Put(uint32_t{13}).Put(uint64_t{0})),
              HasSubstr("unknown value type 13"));
  EXPECT_THAT(ErrorOf(Builder().Header(0, 1).String("k").Put(GgufType::kBool).Put(uint8_t{2})),
              HasSubstr("wanted a bool (0 or 1), found 2"));
  EXPECT_THAT(ErrorOf(Builder().Header(0, 1).String("a\nb").Put(GgufType::kU8).Put(uint8_t{1})),
              HasSubstr("control characters"));
  const auto alignment = [](uint32_t value) {
    return Builder().Header(0, 1).String("general.alignment").Put(GgufType::kU32).Put(value);
  };
  EXPECT_EQ(ErrorOf(alignment(64)), "");
  EXPECT_THAT(ErrorOf(alignment(0)), HasSubstr("wanted a power of two, found 0"));
  EXPECT_THAT(ErrorOf(alignment(48)), HasSubstr("wanted a power of two, found 48"));
}

TEST(GgufBad, Tensors) {
  const auto one = [](std::vector<uint64_t> extents, uint32_t type, uint64_t offset, size_t data) {
    return ErrorOf(Builder().Header(1, 0).Tensor("t", std::move(extents), type, offset).Data(data));
  };
  EXPECT_EQ(one({8, 2}, 0, 0, 64), "");
  EXPECT_THAT(one({8, 2}, 0, 0, 63), HasSubstr("tensor t F32 [2, 8] at offset 0 reaches past the end"));
  EXPECT_THAT(one({8, 2}, 0, 32, 64), HasSubstr("reaches past the end"));
  EXPECT_THAT(one({8, 2}, 0, ~uint64_t{31}, 64), HasSubstr("reaches past the end"));
  EXPECT_THAT(one({8, 2}, 0, 8, 128), HasSubstr("offset 8 is not a multiple of the alignment 32"));
  EXPECT_THAT(one({8, 2}, 31, 0, 64), HasSubstr("unsupported type number 31; supported: F32, F16, Q4_0"));
  EXPECT_THAT(one({48}, 8, 0, 128), HasSubstr("rows of 48 elements are no whole blocks of Q8_0"));
  EXPECT_THAT(one({8, 0}, 0, 0, 64), HasSubstr("extent of 0"));
  EXPECT_THAT(one({}, 0, 0, 64), HasSubstr("wanted 1 to 4 dimensions, found 0"));
  EXPECT_THAT(one({1, 1, 1, 1, 1}, 0, 0, 64), HasSubstr("wanted 1 to 4 dimensions, found 5"));
  const uint64_t huge = uint64_t{1} << 32;
  EXPECT_THAT(one({huge, huge}, 0, 0, 64), HasSubstr("reaches past the end"));
  EXPECT_THAT(one({huge, huge, huge, huge}, 0, 0, 64), HasSubstr("reaches past the end"));
  EXPECT_THAT(one({uint64_t{1} << 63}, 0, 0, 64), HasSubstr("tensor t"));

  const auto two = [](std::string_view second, uint64_t offset) {
    return ErrorOf(Builder().Header(2, 0).Tensor("t", {16}, 0, 0).Tensor(second, {8}, 0, offset).Data(128));
  };
  EXPECT_EQ(two("u", 64), "");
  EXPECT_THAT(two("u", 32), HasSubstr("tensors t and u overlap"));
  EXPECT_THAT(two("t", 64), HasSubstr("tensor t appears twice"));
}

// A real file cut at many places: always an error, always one line.
TEST(GgufBad, TruncatedAnywhere) {
  for (const std::string name :
       {"nano-ldpv2/mmproj.gguf", "nano-ldpv2/text.gguf", "quants/every_type.gguf"}) {
    const std::string bytes = ReadFile(kGolden + name, 1 << 24).value();
    const auto whole = GgufFile::Parse(std::as_bytes(std::span(bytes)), name);
    ASSERT_TRUE(whole);
    const GgufTensor& last = whole->tensors().back();
    const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
    const size_t end = static_cast<size_t>(last.data.data() - begin) + last.data.size();
    for (size_t size = 0; size < end; size += size < 4096 ? 1 : 97) {
      const std::string error = ErrorOf(std::string_view(bytes).substr(0, size));
      EXPECT_NE(error, "") << name << " cut at " << size;
      EXPECT_EQ(error.find('\n'), std::string::npos) << error;
    }
    EXPECT_NE(ErrorOf(std::string_view(bytes).substr(0, end - 1)), "");
    EXPECT_EQ(ErrorOf(std::string_view(bytes).substr(0, end)), "");
  }
}

// Every byte of the header region replaced: an answer of either kind, and what parses lies in the file.
TEST(GgufBad, MutatedHeader) {
  const std::string bytes = ReadFile(kGolden + "quants/every_type.gguf", 1 << 24).value();
  int refused = 0;
  for (size_t at = 0; at < 700; ++at) {
    for (const int flip : {0x01, 0x80, 0xFF}) {
      std::string mutant = bytes;
      mutant[at] = static_cast<char>(mutant[at] ^ flip);
      const auto file = GgufFile::Parse(std::as_bytes(std::span(mutant)), "x");
      if (!file) {
        ++refused;
        continue;
      }
      for (const GgufTensor& tensor : file->tensors()) {
        const auto* end = reinterpret_cast<const std::byte*>(mutant.data() + mutant.size());
        EXPECT_LE(tensor.data.data() + tensor.data.size(), end);
      }
    }
  }
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace mobilevlm
