#include "convert/convert.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <numeric>

#include "base/read_file.h"
#include "convert/element_types.h"
#include "gguf/reader.h"
#include "schema/read_config.h"
#include "tensor/dequantize.h"
#include "tensor/npy.h"

namespace mobilevlm {
namespace {

namespace fs = std::filesystem;

const std::string kGolden = MOBILEVLM_SOURCE_DIR "/tests/golden/";

// A fresh directory that vanishes with the test.
class ConvertTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    directory_ = fs::path(::testing::TempDir()) / fmt::format("mobilevlm_convert_{}", info->name());
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }
  std::string Path(const std::string& name) const { return (directory_ / name).string(); }

  fs::path directory_;
};

std::vector<float> Values(const GgufTensor& tensor) { return DequantizeTensor(tensor.type, tensor.data); }

// Metadata that may differ between two conversions of the same model.
bool IsDescriptive(std::string_view key) { return key == "general.name"; }

void ExpectSameMetadata(const GgufFile& found, const GgufFile& wanted) {
  EXPECT_EQ(found.metadata().size(), wanted.metadata().size());
  for (const auto& [key, value] : wanted.metadata()) {
    const GgufValue* ours = found.Find(key);
    ASSERT_NE(ours, nullptr) << key;
    EXPECT_EQ(ours->type, value.type) << key;
    if (IsDescriptive(key)) continue;
    if (const auto* array = std::get_if<GgufArray>(&value.value)) {
      const auto& other = std::get<GgufArray>(ours->value);
      EXPECT_EQ(other.element_type, array->element_type) << key;
      EXPECT_EQ(other.count, array->count) << key;
      EXPECT_TRUE(
          std::equal(other.bytes.begin(), other.bytes.end(), array->bytes.begin(), array->bytes.end()))
          << key;
    } else if (const auto* number = std::get_if<double>(&value.value)) {
      EXPECT_EQ(std::get<double>(ours->value), *number) << key;
    } else if (const auto* text = std::get_if<std::string_view>(&value.value)) {
      EXPECT_EQ(std::get<std::string_view>(ours->value), *text) << key;
    } else {
      EXPECT_TRUE(ours->value.index() == value.value.index()) << key;
      if (const auto* integer = std::get_if<uint64_t>(&value.value)) {
        EXPECT_EQ(std::get<uint64_t>(ours->value), *integer) << key;
      } else if (const auto* flag = std::get_if<bool>(&value.value)) {
        EXPECT_EQ(std::get<bool>(ours->value), *flag) << key;
      }
    }
  }
}

void ExpectSameTensors(const GgufFile& found, const GgufFile& wanted) {
  ASSERT_EQ(found.tensors().size(), wanted.tensors().size());
  for (const GgufTensor& tensor : wanted.tensors()) {
    const GgufTensor* ours = found.FindTensor(tensor.name);
    ASSERT_NE(ours, nullptr) << tensor.name;
    EXPECT_EQ(ours->type, tensor.type) << tensor.name;
    EXPECT_EQ(ours->shape, tensor.shape) << tensor.name;
    EXPECT_EQ(Values(*ours), Values(tensor)) << tensor.name;
  }
}

// The oracle is files written by another program from the same checkpoint.
TEST_F(ConvertTest, GivesTheReferenceFiles) {
  for (const std::string model : {"nano-ldpv2", "nano80-ldp"}) {
    const Status status = ConvertHfDirectory({kGolden + model + "/hf", Path(model)});
    ASSERT_TRUE(status) << status.error().message;
    for (const std::string name : {"/text.gguf", "/mmproj.gguf"}) {
      SCOPED_TRACE(model + name);
      const auto found = GgufFile::Open(Path(model) + name);
      const auto wanted = GgufFile::Open(kGolden + model + name);
      ASSERT_TRUE(found && wanted);
      ExpectSameMetadata(*found, *wanted);
      ExpectSameTensors(*found, *wanted);
    }
  }
}

TEST_F(ConvertTest, OtherTypesLoadAndStayClose) {
  ASSERT_TRUE(ConvertHfDirectory({kGolden + "nano80-ldp/hf", Path("f32"), DType::kF32, DType::kF32}));
  ASSERT_TRUE(ConvertHfDirectory({kGolden + "nano80-ldp/hf", Path("q8"), DType::kQ8_0, DType::kQ8_0}));
  for (const std::string name : {"/text.gguf", "/mmproj.gguf"}) {
    const auto exact = GgufFile::Open(Path("f32") + name);
    const auto quantised = GgufFile::Open(Path("q8") + name);
    const auto half = GgufFile::Open(kGolden + "nano80-ldp" + name);
    ASSERT_TRUE(exact && quantised && half);
    int blocks = 0;
    for (const GgufTensor& tensor : exact->tensors()) {
      EXPECT_EQ(tensor.type, DType::kF32) << tensor.name;
      const std::vector<float> wanted = Values(tensor);
      EXPECT_EQ(wanted, Values(*half->FindTensor(tensor.name))) << tensor.name;  // the checkpoint is F16
      const GgufTensor& q = *quantised->FindTensor(tensor.name);
      if (q.type != DType::kQ8_0) continue;
      ++blocks;
      const std::vector<float> found = Values(q);
      for (size_t i = 0; i < wanted.size(); i += 32) {
        float amax = 0;
        for (size_t j = i; j < i + 32; ++j) amax = std::max(amax, std::fabs(wanted[j]));
        // Half a step, and the scale's own rounding to 11 bits.
        for (size_t j = i; j < i + 32; ++j) EXPECT_NEAR(found[j], wanted[j], amax * (0.5 / 127 + 1.0 / 2048));
      }
    }
    EXPECT_GE(blocks, 10);
  }
  const auto mmproj = GgufFile::Open(Path("q8/mmproj.gguf"));
  // 40 columns are no whole block; convolutions are never quantised; vectors stay F32.
  EXPECT_EQ(mmproj->FindTensor("mm.model.mb_block.1.block.1.fc2.weight")->type, DType::kF16);
  EXPECT_EQ(mmproj->FindTensor("mm.model.mb_block.1.block.0.0.weight")->type, DType::kF16);
  EXPECT_EQ(mmproj->FindTensor("v.pre_ln.weight")->type, DType::kF32);
  const auto specs = MmprojTensors(*mmproj);
  ASSERT_TRUE(specs);
  EXPECT_TRUE(TensorMap::Bind(*mmproj, *specs));
}

TEST_F(ConvertTest, RopeRowsAreInterleavedPerHead) {
  // Two heads of four rows, one column: halves (0, 2), (1, 3) become neighbours.
  const std::vector<float> rows{0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(PermuteRopeRows(rows, 2, 8, 1), (std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7}));
}

TEST_F(ConvertTest, Q8_0EqualsTheReferenceQuantiser) {
  const auto file = GgufFile::Open(kGolden + "quants/every_type.gguf");
  const auto original = ReadNpy(kGolden + "quants/original.npy");
  ASSERT_TRUE(file && original);
  const GgufTensor& wanted = *file->FindTensor("w.q8_0");
  const auto found = EncodeTensor(DType::kQ8_0, original->values, "w");
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), wanted.data.size());
  EXPECT_EQ(std::memcmp(found->data(), wanted.data.data(), wanted.data.size()), 0);
  EXPECT_EQ(Values(wanted), ReadNpy(kGolden + "quants/q8_0.npy")->values);
  EXPECT_EQ(Values(*file->FindTensor("w.f16")), ReadNpy(kGolden + "quants/f16.npy")->values);
  EXPECT_EQ(Values(*file->FindTensor("w.bf16")), ReadNpy(kGolden + "quants/bf16.npy")->values);
}

TEST_F(ConvertTest, Q8_0EdgeCases) {
  std::vector<float> values(64, 0.0f);  // the first block is all zeros
  values[32] = -127.0f;                 // the second has d = 1: halves go away from zero
  values[33] = 0.5f;
  values[34] = -1.5f;
  values[35] = 126.4f;
  const auto decoded = DequantizeTensor(DType::kQ8_0, EncodeTensor(DType::kQ8_0, values, "x").value());
  EXPECT_EQ(std::vector<float>(decoded.begin(), decoded.begin() + 36), [] {
    std::vector<float> wanted(36, 0.0f);
    wanted[32] = -127;
    wanted[33] = 1;
    wanted[34] = -2;
    wanted[35] = 126;
    return wanted;
  }());
  std::vector<float> tiny(32, 1e-44f);  // 1 / d would be infinite
  EXPECT_EQ(DequantizeTensor(DType::kQ8_0, EncodeTensor(DType::kQ8_0, tiny, "x").value()),
            std::vector<float>(32, 0.0f));
}

TEST_F(ConvertTest, ValuesThatDoNotFitAreRefused) {
  const std::vector<float> big{1.0f, 70000.0f};
  EXPECT_TRUE(EncodeTensor(DType::kF32, big, "x"));
  EXPECT_EQ(EncodeTensor(DType::kF16, big, "x").error().message,
            "x: the value 70000 cannot be stored as F16");
  const std::vector<float> nan{std::numeric_limits<float>::quiet_NaN()};
  EXPECT_FALSE(EncodeTensor(DType::kF32, nan, "x"));
}

TEST_F(ConvertTest, BadDirectoriesAreNamed) {
  const std::string source = kGolden + "nano-ldpv2/hf";
  const auto error_without = [&](const std::string& missing) {
    const std::string copy = Path("hf");
    fs::remove_all(copy);
    fs::create_directories(copy);
    for (const auto& entry : fs::directory_iterator(source)) {
      if (entry.path().filename() != missing) fs::copy(entry.path(), copy);
    }
    const Status status = ConvertHfDirectory({copy, Path("out")});
    return status ? std::string("converted") : status.error().message;
  };
  for (const std::string name : {"config.json", "model.safetensors", "tokenizer.model"}) {
    EXPECT_NE(error_without(name).find(name), std::string::npos) << error_without(name);
  }
  EXPECT_FALSE(fs::exists(Path("out/text.gguf")));
}

}  // namespace
}  // namespace mobilevlm
