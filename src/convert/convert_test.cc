#include "convert/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "convert/rope_rows.h"
#include "convert/test_support.h"
#include "schema/read_config.h"

namespace mobilevlm {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

using ConvertTest = DirectoryTest;

// Metadata that may differ between two conversions of the same model.
bool IsDescriptive(std::string_view key) { return key == "general.name"; }

// The files in circulation lack the key that says how many blocks run.
void ExpectSameMetadata(const GgufFile& found, const GgufFile& wanted) {
  constexpr std::string_view kFeatureLayer = "clip.vision.feature_layer";
  const size_t more = found.Has(kFeatureLayer) ? 1 : 0;
  if (more != 0) {
    EXPECT_EQ(found.GetInts(kFeatureLayer)->at(0), ReadVisionConfig(wanted)->used_layers);
  }
  EXPECT_EQ(found.metadata().size(), wanted.metadata().size() + more);
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

// The oracle is files written by another program from the same checkpoint.
TEST_F(ConvertTest, GivesTheReferenceFiles) {
  for (const std::string model : {"nano-ldpv2", "nano80-ldp", "nano-mlp"}) {
    const auto written = ConvertHfDirectory({kGolden + model + "/hf", Path(model)});
    ASSERT_TRUE(written) << written.error().message;
    EXPECT_EQ(*written, (std::vector{Path(model) + "/text.gguf", Path(model) + "/mmproj.gguf"}));
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
  ASSERT_TRUE(
      ConvertHfDirectory({kGolden + "nano80-ldp/hf", Path("q8"), *FindPreset("q8_0"), *FindPreset("q8_0")}));
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
  // Two heads of four rows: halves (0, 2), (1, 3) become neighbours.
  std::vector<size_t> rows;
  for (size_t row = 0; row < 8; ++row) {
    rows.push_back(HfRowOf(row, 4));
    EXPECT_EQ(GgufRowOf(HfRowOf(row, 4), 4), row);
    EXPECT_EQ(HfRowOf(GgufRowOf(row, 80), 80), row);
  }
  EXPECT_EQ(rows, (std::vector<size_t>{0, 2, 1, 3, 4, 6, 5, 7}));
}

// Every type that `quantize` knows: the same types and bits as quantising the converted F32 file would give
// are in the encoders' hands; here each file must load, and say what it is.
TEST_F(ConvertTest, EveryTypeLoads) {
  const auto exact = ConvertHfDirectory({kGolden + "nano80-ldp/hf", Path("f32"), DType::kF32, DType::kF32});
  ASSERT_TRUE(exact);
  for (const std::string name : {"bf16", "q4_0", "q4_k_s", "q4_k_m", "q5_k_m", "q6_k", "q8_0", "q3_k_m",
                                 "q2_k", "q4_1", "q5_0", "q5_1"}) {
    SCOPED_TRACE(name);
    const auto type = OutputType::Parse(name);
    ASSERT_TRUE(type);
    const auto written = ConvertHfDirectory({kGolden + "nano80-ldp/hf", Path(name), *type, *type});
    ASSERT_TRUE(written) << written.error().message;
    for (const std::string& path : *written) {
      const auto file = GgufFile::Open(path);
      ASSERT_TRUE(file) << file.error().message;
      const bool text = path.ends_with("text.gguf");
      const auto specs =
          text ? Result<std::vector<TensorSpec>>(LlmTensors(*ReadLlmConfig(*file))) : MmprojTensors(*file);
      ASSERT_TRUE(specs);
      EXPECT_TRUE(TensorMap::Bind(*file, *specs));
      const Preset* preset = FindPreset(name);
      EXPECT_EQ(file->GetU32("general.file_type").value(), preset != nullptr ? preset->file_type : 32u);
      EXPECT_EQ(file->Has("general.quantization_version"), preset != nullptr);
    }
  }
  EXPECT_THAT(OutputType::Parse("q9").error().message, HasSubstr("q4_k_m"));
}

TEST_F(ConvertTest, ThreadsChangeNoByte) {
  for (const int threads : {1, 3}) {
    ConvertOptions options{kGolden + "nano-ldpv2/hf", Path(std::to_string(threads)), *FindPreset("q4_0")};
    options.threads = threads;
    ASSERT_TRUE(ConvertHfDirectory(options));
  }
  EXPECT_EQ(ReadFile(Path("1/text.gguf"), 1 << 24).value(), ReadFile(Path("3/text.gguf"), 1 << 24).value());
}

TEST_F(ConvertTest, ValuesThatDoNotFitAreRefused) {
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  TestTensors tensors = ReadTensors(kGolden + "nano-ldpv2/hf");
  const auto error = [&](float value, DType type) {
    tensors[name].values[1000] = value;
    WriteDirectory(Path("hf"), "nano-ldpv2", tensors, DType::kF32);
    const auto written = ConvertHfDirectory({Path("hf"), Path("out"), type});
    EXPECT_FALSE(fs::exists(Path("out/text.gguf")) && !written);
    return written ? "" : written.error().message;
  };
  EXPECT_THAT(error(70000, DType::kF16),
              HasSubstr("model.safetensors: tensor " + name + ": the value 70000 cannot be stored as F16"));
  EXPECT_THAT(error(std::numeric_limits<float>::quiet_NaN(), DType::kF32), HasSubstr("the value nan"));
  EXPECT_EQ(error(70000, DType::kF32), "");
}

TEST_F(ConvertTest, WorkIsReportedAndCanBeStopped) {
  ConvertOptions options{kGolden + "nano-ldpv2/hf", Path("out")};
  uint64_t last = 0, all = 0;
  options.progress = [&](uint64_t done, uint64_t total) -> Status {
    EXPECT_GT(done, last);
    last = done;
    all = total;
    return {};
  };
  ASSERT_TRUE(ConvertHfDirectory(options));
  EXPECT_EQ(last, all);
  EXPECT_GT(all, 700'000u);
  fs::remove_all(Path("out"));
  options.progress = [](uint64_t, uint64_t) -> Status { return Fail("enough"); };
  const auto stopped = ConvertHfDirectory(options);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().message, "enough");
  EXPECT_TRUE(fs::is_empty(Path("out")));
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
    const auto written = ConvertHfDirectory({copy, Path("out")});
    return written ? std::string("converted") : written.error().message;
  };
  for (const std::string name : {"config.json", "model.safetensors", "tokenizer.model"}) {
    EXPECT_NE(error_without(name).find(name), std::string::npos) << error_without(name);
  }
  EXPECT_FALSE(fs::exists(Path("out/text.gguf")));
}

}  // namespace
}  // namespace mobilevlm
