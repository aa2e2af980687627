// Plans, and whole files through them.
#include "quantize/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "base/read_file.h"
#include "gguf/writer.h"
#include "tensor/dequantize.h"

namespace mobilevlm {
namespace {

using ::testing::HasSubstr;

const std::string kGolden = MOBILEVLM_SOURCE_DIR "/tests/golden/";

class QuantizeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    directory_ =
        std::filesystem::path(::testing::TempDir()) / fmt::format("mobilevlm_quantize_{}", info->name());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string Path(const std::string& name) const { return (directory_ / name).string(); }

  // IN, relative to the golden files, as `preset`.
  Status Run(const std::string& in, const std::string& preset, const std::string& out,
             std::vector<TypeOverride> overrides = {}, int threads = 1) {
    MVLM_ASSIGN(const GgufFile file, GgufFile::Open(in));
    QuantizeOptions options;
    options.preset = FindPreset(preset);
    options.overrides = std::move(overrides);
    MVLM_ASSIGN(const QuantizePlan plan, PlanQuantization(file, options));
    ThreadPool pool(threads);
    QuantizeJob job;
    job.file = &file;
    job.plan = &plan;
    job.out = Path(out);
    job.pool = &pool;
    MVLM_ASSIGN(errors_, Quantize(job));
    return {};
  }
  std::string ErrorOf(const std::string& in, const std::string& preset,
                      std::vector<TypeOverride> overrides = {}) {
    const Status status = Run(in, preset, "bad.gguf", std::move(overrides));
    EXPECT_TRUE(std::filesystem::is_empty(directory_)) << "a file was left behind";
    return status ? "no error" : status.error().message;
  }

  std::filesystem::path directory_;
  std::vector<TensorError> errors_;
};

TEST_F(QuantizeTest, TextKeepsItsMetadataAndSaysWhatItIsNow) {
  const std::string source = kGolden + "nano80-ldp/text.gguf";
  const Status status = Run(source, "q4_k_m", "out.gguf");
  ASSERT_TRUE(status) << status.error().message;
  const auto before = GgufFile::Open(source);
  const auto after = GgufFile::Open(Path("out.gguf"));
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(after->GetU32("general.file_type").value(), 15u);
  EXPECT_EQ(after->GetU32("general.quantization_version").value(), 2u);
  for (const auto& [key, value] : before->metadata()) {
    ASSERT_TRUE(after->Has(key)) << key;
    EXPECT_EQ(after->Find(key)->type, value.type) << key;
  }
  EXPECT_EQ(after->GetStrings("tokenizer.ggml.tokens").value(),
            before->GetStrings("tokenizer.ggml.tokens").value());
  EXPECT_EQ(after->GetF32s("tokenizer.ggml.scores").value(),
            before->GetF32s("tokenizer.ggml.scores").value());
  EXPECT_EQ(after->GetF32("llama.attention.layer_norm_rms_epsilon").value(),
            before->GetF32("llama.attention.layer_norm_rms_epsilon").value());

  // Rows of 160 and 416 hold no block of 256.
  EXPECT_EQ(after->FindTensor("blk.0.attn_q.weight")->type, DType::kQ5_0);
  EXPECT_EQ(after->FindTensor("output.weight")->type, DType::kQ8_0);
  ASSERT_EQ(before->tensors().size(), after->tensors().size());
  for (size_t i = 0; i < after->tensors().size(); ++i) {
    const GgufTensor& old_tensor = before->tensors()[i];
    const GgufTensor& tensor = after->tensors()[i];
    EXPECT_EQ(tensor.name, old_tensor.name);
    EXPECT_EQ(tensor.shape, old_tensor.shape);
    if (tensor.type == old_tensor.type) {
      EXPECT_TRUE(std::equal(tensor.data.begin(), tensor.data.end(), old_tensor.data.begin())) << tensor.name;
      EXPECT_EQ(errors_[i].rms, 0) << tensor.name;
    }
  }
}

// The report is what a comparison of the two files finds.
TEST_F(QuantizeTest, ReportsTheErrorOfEveryTensor) {
  const std::string source = kGolden + "nano-ldpv2/text.gguf";
  ASSERT_TRUE(Run(source, "q4_0", "out.gguf"));
  const auto before = GgufFile::Open(source);
  const auto after = GgufFile::Open(Path("out.gguf"));
  ASSERT_TRUE(before && after);
  int changed = 0;
  for (size_t i = 0; i < errors_.size(); ++i) {
    const std::vector<float> x = DequantizeTensor(before->tensors()[i].type, before->tensors()[i].data);
    const std::vector<float> back = DequantizeTensor(after->tensors()[i].type, after->tensors()[i].data);
    double squares = 0;
    double energy = 0;
    double max = 0;
    for (size_t j = 0; j < x.size(); ++j) {
      const double difference = double{x[j]} - double{back[j]};
      squares += difference * difference;
      energy += double{x[j]} * x[j];
      max = std::max(max, std::abs(difference));
    }
    EXPECT_NEAR(errors_[i].rms, std::sqrt(squares / static_cast<double>(x.size())), 1e-5 * errors_[i].rms);
    EXPECT_NEAR(errors_[i].relative, std::sqrt(squares / energy), 1e-5);
    EXPECT_NEAR(errors_[i].max, max, 1e-6 * max);
    if (before->tensors()[i].type != after->tensors()[i].type) ++changed;
  }
  EXPECT_EQ(changed, 16);
}

TEST_F(QuantizeTest, MmprojKeepsConvolutionsAndPositions) {
  const Status status = Run(kGolden + "nano80-ldp/mmproj.gguf", "q8_0", "out.gguf");
  ASSERT_TRUE(status) << status.error().message;
  const auto after = GgufFile::Open(Path("out.gguf"));
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(after->FindTensor("v.blk.0.attn_q.weight")->type, DType::kQ8_0);
  EXPECT_EQ(after->FindTensor("mm.model.mlp.3.weight")->type, DType::kQ8_0);
  EXPECT_EQ(after->FindTensor("v.patch_embd.weight")->type, DType::kF16);
  EXPECT_EQ(after->FindTensor("v.position_embd.weight")->type, DType::kF16);
  EXPECT_EQ(after->FindTensor("mm.model.mb_block.1.block.0.0.weight")->type, DType::kF16);
  EXPECT_EQ(after->FindTensor("v.class_embd")->type, DType::kF32);
  // Rows of 40 hold no block at all.
  EXPECT_EQ(after->FindTensor("mm.model.mb_block.1.block.1.fc2.weight")->type, DType::kF16);
  EXPECT_EQ(after->FindTensor("mm.model.mb_block.1.block.1.fc1.weight")->type, DType::kQ8_0);
}

TEST_F(QuantizeTest, EveryPresetGivesAFileThatFitsTheSchema) {
  for (const char* preset :
       {"q2_k", "q3_k_m", "q4_0", "q4_1", "q4_k_s", "q4_k_m", "q5_0", "q5_1", "q5_k_m", "q6_k", "q8_0"}) {
    for (const char* model : {"nano-ldpv2", "nano80-ldp", "nano-mlp"}) {
      for (const char* part : {"text", "mmproj"}) {
        const Status status = Run(fmt::format("{}{}/{}.gguf", kGolden, model, part), preset, "out.gguf");
        ASSERT_TRUE(status) << status.error().message;
        const auto file = GgufFile::Open(Path("out.gguf"));
        ASSERT_TRUE(file) << file.error().message;
        QuantizeOptions again;  // a plan checks every tensor of the schema
        again.preset = FindPreset(preset);
        const auto plan = PlanQuantization(*file, again);
        ASSERT_TRUE(plan) << plan.error().message;
        for (const TensorPlan& tensor : plan->tensors) EXPECT_FALSE(tensor.changes()) << tensor.tensor->name;
        EXPECT_EQ(file->GetU32("general.file_type").value(), again.preset->file_type);
      }
    }
  }
}

TEST_F(QuantizeTest, ThreadsDoNotChangeTheFile) {
  const std::string source = kGolden + "nano80-ldp/text.gguf";
  ASSERT_TRUE(Run(source, "q4_0", "one.gguf", {}, 1));
  ASSERT_TRUE(Run(source, "q4_0", "three.gguf", {}, 3));
  EXPECT_EQ(ReadFile(Path("one.gguf"), 1 << 24).value(), ReadFile(Path("three.gguf"), 1 << 24).value());
}

TEST_F(QuantizeTest, OverridesByNameAndPattern) {
  ASSERT_TRUE(Run(kGolden + "nano80-ldp/text.gguf", "q4_0", "out.gguf",
                  {{"blk.*.attn_v.weight", DType::kQ8_0}, {"blk.1.attn_v.weight", DType::kF16}}));
  const auto after = GgufFile::Open(Path("out.gguf"));
  ASSERT_TRUE(after);
  EXPECT_EQ(after->FindTensor("blk.0.attn_v.weight")->type, DType::kQ8_0);
  EXPECT_EQ(after->FindTensor("blk.1.attn_v.weight")->type, DType::kF16);
  EXPECT_EQ(after->FindTensor("blk.0.attn_q.weight")->type, DType::kQ4_0);

  const auto parsed = ParseTypeOverride("a=b=q6_K");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, TypeOverride("a=b", DType::kQ6_K));
  EXPECT_THAT(ParseTypeOverride("a=q9").error().message, HasSubstr("no such type: q9; there are F32, F16"));
  EXPECT_FALSE(ParseTypeOverride("a"));
  EXPECT_FALSE(ParseTypeOverride("=q8_0"));
}

TEST_F(QuantizeTest, BadInputIsNamedAndLeavesNothing) {
  const std::string text = kGolden + "nano-ldpv2/text.gguf";
  const std::string mmproj = kGolden + "nano-ldpv2/mmproj.gguf";
  EXPECT_THAT(ErrorOf(text, "q4_0", {{"blk.7.attn_q.weight", DType::kQ8_0}}),
              HasSubstr("no tensor is called blk.7.attn_q.weight"));
  EXPECT_THAT(ErrorOf(mmproj, "q8_0", {{"v.patch_embd.weight", DType::kQ8_0}}),
              HasSubstr("v.patch_embd.weight cannot be stored as Q8_0: the engine reads it as F16"));
  EXPECT_THAT(ErrorOf(text, "q4_0", {{"output_norm.weight", DType::kF16}}),
              HasSubstr("output_norm.weight cannot be stored as F16: the engine reads it as F32"));
  EXPECT_THAT(ErrorOf(kGolden + "quants/every_type.gguf", "q4_0"), HasSubstr("every_type.gguf"));
  EXPECT_THAT(ErrorOf(MOBILEVLM_SOURCE_DIR "/models/mini/text.gguf", "q4_0"),
              HasSubstr("token_embd.weight is quantised already (Q8_0)"));
  EXPECT_THAT(ErrorOf("/nonexistent.gguf", "q4_0"), HasSubstr("/nonexistent.gguf"));
}

TEST_F(QuantizeTest, SecondRoundingIsDoneWhenAskedFor) {
  const auto file = GgufFile::Open(MOBILEVLM_SOURCE_DIR "/models/mini/text.gguf");
  ASSERT_TRUE(file);
  QuantizeOptions options;
  options.preset = FindPreset("q4_k_m");
  options.requantize = true;
  const auto plan = PlanQuantization(*file, options);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->tensors[0].type, DType::kQ4_K);
  EXPECT_LT(plan->bytes(), file->file_bytes() * 2 / 3);
}

// The error is noticed in the middle of the work: no half file, no temporary one.
TEST_F(QuantizeTest, ValuesThatDoNotFitAndInterruptsLeaveNothing) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 3e38f}) {
    const std::string source = Path("bad_source");
    {
      std::string bytes = ReadFile(kGolden + "nano-ldpv2/text.gguf", 1 << 24).value();
      const auto file = GgufFile::Parse(std::as_bytes(std::span(bytes)), "x");
      ASSERT_TRUE(file);
      GgufWriter out;
      for (const auto& [key, value] : file->metadata()) out.Set(key, value);
      for (const GgufTensor& tensor : file->tensors()) {
        std::vector<float> values = DequantizeTensor(tensor.type, tensor.data);
        if (tensor.name == "blk.1.ffn_up.weight") values[777] = bad;
        const auto* begin = reinterpret_cast<const std::byte*>(values.data());
        const std::vector<std::byte> data(begin, begin + 4 * values.size());
        out.AddTensor(tensor.name, DType::kF32, tensor.shape, [data] { return data; });
      }
      ASSERT_TRUE(out.Write(source));
    }
    const Status status = Run(source, "q4_0", "out.gguf");
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().message, HasSubstr("blk.1.ffn_up.weight holds values that are not finite"));
    std::filesystem::remove(source);
    EXPECT_TRUE(std::filesystem::is_empty(directory_));
  }

  const auto file = GgufFile::Open(kGolden + "nano-ldpv2/text.gguf");
  QuantizeOptions options;
  options.preset = FindPreset("q8_0");
  const auto plan = PlanQuantization(*file, options);
  ThreadPool pool(1);
  QuantizeJob job;
  job.file = &*file;
  job.plan = &*plan;
  job.out = Path("out.gguf");
  job.pool = &pool;
  uint64_t last = 0;
  job.progress = [&](uint64_t done) -> Status {
    EXPECT_GT(done, last);
    last = done;
    if (done > 200'000) return Fail("stop");
    return {};
  };
  EXPECT_EQ(Quantize(job).error().message, "stop");
  EXPECT_TRUE(std::filesystem::is_empty(directory_));
}

}  // namespace
}  // namespace mobilevlm
