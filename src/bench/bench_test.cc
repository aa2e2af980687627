#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/sanitizer.h"
#include "bench/child_process.h"
#include "bench/report.h"
#include "bench/roofline.h"
#include "bench/runner.h"
#include "bench/sample_picture.h"
#include "bench/temporary_directory.h"
#include "image/decode.h"
#include "schema/tensors.h"
#include "synth/synth.h"

namespace mobilevlm::bench {
namespace {

TEST(Series, MedianAndSpread) {
  EXPECT_EQ((Series{{3, 1, 2}}).median(), 2);
  EXPECT_EQ((Series{{4, 1, 2, 3}}).median(), 2.5);
  EXPECT_EQ((Series{{3, 1, 2}}).least(), 1);
  EXPECT_EQ((Series{{3, 1, 2}}).most(), 3);
  EXPECT_EQ(Series{}.median(), 0);
}

// Round numbers, so that every quotient can be checked by head.
Report RoundReport() {
  Report r;
  r.cpu = "a <CPU>";
  r.ceilings.int8_gops = 1000, r.ceilings.fp32_gflops = 250, r.ceilings.read_gbs = 20;
  r.text_type = DType::kQ4_0, r.vision_type = DType::kF16;
  r.encode_operations.matrices = 250e9;
  r.encode_bytes = 500000000;
  r.prompt_operations = 400e9;
  r.decode_weight_bytes = 968000000;
  r.kv_bytes_per_position = 1000000;
  r.decode_operations = 2e9;
  r.prompt_positions = 100;
  r.latency.encode.seconds = {2, 1, 4};
  r.latency.prompt.seconds = {0.5};
  r.latency.headline = {0, {{3.2}}};     // 64 tokens: 20 tok/s at a mean depth of 32: 1 GB each
  r.latency.deeper = {{1000, {{6.4}}}};  // 10 tok/s, 2 GB each
  r.first_token.seconds = {1.5};
  r.peak_rss_bytes = 1100000000;
  return r;
}

TEST(ReportTest, FractionsAreOfTheRightCeiling) {
  const Report r = RoundReport();
  EXPECT_DOUBLE_EQ(r.encode_s(), 2);
  EXPECT_DOUBLE_EQ(r.encode_fraction(), 0.5);  // 125 of 250: an f16 tower, so fp32
  EXPECT_DOUBLE_EQ(r.prompt_tok_s(), 200);
  EXPECT_DOUBLE_EQ(r.prompt_fraction(), 0.8);  // 800 of 1000: quantised, so int8
  EXPECT_DOUBLE_EQ(r.decode_tok_s(), 20);
  EXPECT_DOUBLE_EQ(r.decode_fraction(), 1.0);
  EXPECT_DOUBLE_EQ(r.DecodeFraction(r.latency.deeper[0]), 1.0);
}

TEST(ReportTest, JsonHasThePromisedKeys) {
  const auto json = nlohmann::json::parse(ToJson(RoundReport()));
  for (const char* key : {"int8_gops", "fp32_gflops", "read_gbs"}) EXPECT_GT(json["ceilings"][key], 0) << key;
  EXPECT_EQ(json["encode_s"], 2);
  EXPECT_EQ(json["prompt_tok_s"], 200);
  EXPECT_EQ(json["decode_tok_s"], 20);
  EXPECT_EQ(json["first_token_s"], 1.5);
  EXPECT_EQ(json["peak_rss_bytes"], 1100000000);
  EXPECT_EQ(json["stages"]["first_token"]["median_s"], 1.5);
  EXPECT_EQ(json["fractions"]["encode"], 0.5);
  EXPECT_EQ(json["fractions"]["prompt"], 0.8);
  EXPECT_EQ(json["fractions"]["decode"], 1.0);
  EXPECT_EQ(json["depths"].size(), 2u);
  EXPECT_EQ(json["stages"]["encode"]["most_s"], 4);
}

TEST(ReportTest, WhatWasNotMeasuredIsNotThere) {
  Report r = RoundReport();
  r.first_token.seconds.clear();
  r.peak_rss_bytes = 0;
  const auto json = nlohmann::json::parse(ToJson(r));
  EXPECT_FALSE(json.contains("first_token_s") || json.contains("peak_rss_bytes"));
  EXPECT_FALSE(json["stages"].contains("first_token"));
  const std::string table = ToTable(r);
  EXPECT_EQ(table.find("process to first token"), std::string::npos) << table;
  EXPECT_EQ(table.find("peak resident memory"), std::string::npos) << table;
}

TEST(ReportTest, AFailedProbeIsSeenInTableAndJson) {
  Report r = RoundReport();
  EXPECT_EQ(ToTable(r).find("FAILED PROBE"), std::string::npos);
  r.ceilings.failed_probe = "too slow";
  EXPECT_NE(ToTable(r).find("FAILED PROBE: too slow"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(ToJson(r))["ceilings"]["failed_probe"], "too slow");
}

TEST(Roofline, EscapesNamesAndShowsEveryStep) {
  const std::string svg = RooflineSvg(RoundReport());
  EXPECT_EQ(svg.find("<CPU>"), std::string::npos);
  for (const char* text : {"a &lt;CPU&gt;", "image encode, 2.00 s", "prompt of 100, 200 tok/s",
                           "decode, 20.0 tok/s", "0.50 of its roof", "int8 1000 GOP/s", "memory 20.0 GB/s"}) {
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  }
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

TEST(ChildProcess, OutputTimeAndFailures) {
  const auto result = RunProcess({"/bin/sh", "-c", "sleep 0.1; echo out; echo err >&2"});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->output, "out\n");
  EXPECT_GE(result->first_output_s, 0.1);
  EXPECT_EQ(RunProcess({"/bin/sh", "-c", "echo out; echo first >&2; echo why >&2; exit 2"}).error().message,
            "/bin/sh failed: why");
  EXPECT_EQ(RunProcess({"/bin/true"}).error().message, "/bin/true printed nothing");
  EXPECT_NE(RunProcess({"/no/such/program"}).error().message.find("cannot start"), std::string::npos);
}

TEST(TemporaryDirectoryTest, IsGoneAfterwards) {
  std::string path;
  {
    TemporaryDirectory directory = TemporaryDirectory::Create().value();
    const TemporaryDirectory moved = std::move(directory);
    path = moved.path();
    std::filesystem::create_directory(path + "/inner");
    EXPECT_TRUE(std::filesystem::exists(path));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(SamplePictureTest, SurvivesItsJpeg) {
  const Image picture = SamplePicture();
  const std::string jpeg = EncodeJpeg(picture).value();
  const auto decoded = DecodeImage(std::as_bytes(std::span(jpeg)), "sample");
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->width, 640);
  EXPECT_EQ(decoded->height, 488);
  double difference = 0;
  for (size_t i = 0; i < picture.rgb.size(); ++i) difference += std::abs(picture.rgb[i] - decoded->rgb[i]);
  EXPECT_LT(difference / static_cast<double>(picture.rgb.size()), 8);
}

// The bytes that a decoded token reads are those of the cache that it reads.
TEST(RunnerTest, BytesOfAPositionAreTheCaches) {
  for (const char* size : {"mini", "1.7b", "3b"}) {  // heads of 64, 128 and 80
    const LlmConfig llm = FindModelSize(size)->llm;
    for (const DType type : {DType::kF32, DType::kF16, DType::kQ8_0}) {
      EXPECT_EQ(costs::KvBytesPerPosition(llm, type) * kKeyBlock, KvCache::Bytes(llm, type, kKeyBlock))
          << size << " " << DTypeName(type);
    }
  }
}

// The flags of `mobilevlm run` and of the memory child, in every type of cache.
TEST(RunnerTest, ChildrenLoadTheModelInTheSameWay) {
  LoadOptions load{.text = "t.gguf", .mmproj = "m.gguf", .threads = 3, .context = 700};
  for (const auto& [type, name] :
       {std::pair(KvType::kF32, "f32"), std::pair(KvType::kF16, "f16"), std::pair(KvType::kQ8_0, "q8_0")}) {
    load.kv = type;
    EXPECT_EQ(ModelArguments(load),
              (std::vector<std::string>{"-m", "t.gguf", "--mmproj", "m.gguf", "--threads", "3", "--ctx",
                                        "700", "--kv", name}));
  }
}

// The whole of it on a model that is small enough for a test.
TEST(RunnerTest, MeasuresAMiniModel) {
  const TemporaryDirectory directory = TemporaryDirectory::Create().value();
  SynthOptions synth;
  synth.size = FindModelSize("mini").value();
  synth.text_type = DType::kQ8_0;
  synth.threads = 1;
  synth.out_dir = directory.path();
  ASSERT_TRUE(SynthesizeModel(synth));

  BenchOptions options;
  options.load.text = directory.path() + "/text.gguf";
  options.load.mmproj = directory.path() + "/mmproj.gguf";
  options.load.threads = 1;
  options.latency.repeats = 2;
  options.latency.depths = {200, 100000};
  options.processes = false;
  const auto report = RunBench(options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->prompt_positions, kPromptTextPositions + 36);
  EXPECT_EQ(report->latency.encode.seconds.size(), 2u);
  ASSERT_EQ(report->latency.deeper.size(), 1u);
  EXPECT_EQ(report->latency.deeper[0].depth, 200);
  for (const double fraction :
       {report->encode_fraction(), report->prompt_fraction(), report->decode_fraction()}) {
    EXPECT_GT(fraction, 0);
  }
  EXPECT_TRUE(report->first_token.seconds.empty());
  EXPECT_EQ(report->peak_rss_bytes, 0u);
  const auto peak = MeasurePeakMemory(options.load);
  ASSERT_TRUE(peak) << peak.error().message;
  EXPECT_GT(*peak, report->file_bytes);
  EXPECT_LT(*peak, 1u << 30);

  options.load.context = 100;
  EXPECT_NE(RunBench(options).error().message.find("the benchmark needs a context of 146 positions"),
            std::string::npos);
}

// Packed weights take the place of the mapped ones: a model needs about its files once, not twice. `layers`
// make about 170 MB of the type, so that nothing else weighs much.
struct LargeModel {
  DType type;
  int layers;
};
void PrintTo(const LargeModel& model, std::ostream* out) { *out << DTypeName(model.type); }
class PeakMemoryDeathTest : public ::testing::TestWithParam<LargeModel> {};

TEST_P(PeakMemoryDeathTest, IsThatOfTheFilesOnce) {
  if (kAddressSanitizer) GTEST_SKIP() << "its shadow is memory, too";
  const TemporaryDirectory directory = TemporaryDirectory::Create().value();
  SynthOptions synth;
  synth.size = FindModelSize("mini").value();
  LlmConfig& llm = synth.size.llm;
  llm.layers = GetParam().layers;
  llm.hidden = 1024, llm.intermediate = 2816, llm.heads = 16, llm.kv_heads = 16;
  synth.text_type = GetParam().type;
  synth.out_dir = directory.path();
  ASSERT_TRUE(SynthesizeModel(synth));
  const LoadOptions load{.text = directory.path() + "/text.gguf",
                         .mmproj = directory.path() + "/mmproj.gguf",
                         .threads = 1,
                         .context = 256};
  const uint64_t files = std::filesystem::file_size(load.text) + std::filesystem::file_size(load.mmproj);
  ASSERT_GT(files, 150u << 20);

  // The program, its activations and the cache of 256 positions: 27 to 38 MB were seen.
  constexpr uint64_t kBesides = 32u << 20;
  const auto measure = [&] {
    const auto peak = MeasurePeakMemory(load);
    if (!peak) std::fprintf(stderr, "%s\n", peak.error().message.c_str());
    std::fprintf(stderr, "%.1f MB of files, a peak of %.1f MB\n", static_cast<double>(files) / 1e6,
                 static_cast<double>(peak.value_or(0)) / 1e6);
    std::_Exit(peak && *peak >= files && *peak <= files + files * 3 / 20 + kBesides ? 0 : 1);
  };
  // A process of its own: this one may have been larger before.
  EXPECT_EXIT(measure(), ::testing::ExitedWithCode(0), "");
}

INSTANTIATE_TEST_SUITE_P(Types, PeakMemoryDeathTest,
                         ::testing::Values(LargeModel{DType::kQ8_0, 12}, LargeModel{DType::kQ4_0, 23},
                                           LargeModel{DType::kF16, 7}),
                         [](const auto& test) { return std::string(DTypeName(test.param.type)); });

}  // namespace
}  // namespace mobilevlm::bench
