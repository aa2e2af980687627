// `mobilevlm convert` as a process: directories there and back, and whatever can be wrong with one.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "compare.h"
#include "files.h"
#include "gguf/reader.h"
#include "golden.h"
#include "process.h"
#include "refusal.h"

namespace mobilevlm::golden {
namespace {

namespace fs = std::filesystem;

class ConvertDirectory : public ::testing::Test {
 protected:
  void SetUp() override { fs::copy(Path("nano-ldpv2/hf"), Hf()); }

  std::string Hf() const { return directory_.Path("hf"); }
  std::string Weights() const { return Hf() + "/model.safetensors"; }
  std::string Out() const { return directory_.Path("out"); }

  // Replaces `from`, which occurs, in a file of the directory.
  void Edit(const std::string& file, const std::string& from, const std::string& to) const {
    std::string bytes = Slurp(Hf() + "/" + file);
    const size_t at = bytes.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    bytes.replace(at, from.size(), to);
    directory_.Write("hf/" + file, bytes);
  }

  // The directory with this file of tests/golden/torch_bin for weights.
  void UseTorchFile(const std::string& name) const {
    fs::remove(Weights());
    fs::copy(Path("torch_bin/" + name), Hf() + "/pytorch_model.bin");
  }

  void ExpectConvertRefusal(const std::vector<std::string>& words) const {
    ExpectRefusal(Process::Run({"convert", Hf(), "-o", Out()}), words);
    EXPECT_FALSE(fs::exists(Out())) << "nothing may be written";
  }

  TemporaryDirectory directory_;
};

// The whole road, against PyTorch's numbers on the same directory.
TEST(Convert, ConvertedDirectoriesGiveTheReferencesTraces) {
  for (const std::string model : {"nano-ldpv2", "nano80-ldp", "nano-mlp"}) {
    const TemporaryDirectory directory;
    const ProcessResult converted =
        Process::Run({"convert", Path(model + "/hf"), "-o", directory.Path("out")});
    ASSERT_EQ(converted.exit_code, 0) << converted.err;
    const Expected expected = ReadExpected(model);
    const ProcessResult traced =
        Process::Run({"trace", "-m", directory.Path("out/text.gguf"), "--mmproj",
                      directory.Path("out/mmproj.gguf"), "--image", Path("image_336.png"), "--ids-before",
                      Join(expected.ids_before), "--ids-after", Join(expected.ids_after), "-n",
                      std::to_string(expected.greedy_ids.size()), "--out", directory.Path("trace")});
    ASSERT_EQ(traced.exit_code, 0) << traced.err;
    const auto result = nlohmann::json::parse(Slurp(directory.Path("trace/result.json")));
    EXPECT_EQ(result.at("greedy_ids").get<std::vector<int>>(), expected.greedy_ids) << model;
    for (const std::string file : {"vision_features.npy", "visual_tokens.npy", "prompt_logits.npy"}) {
      const auto found = ReadNpy(directory.Path("trace/" + file));
      ASSERT_TRUE(found) << found.error().message;
      const Difference difference = Compare(found->values, ReadGolden(model + "/" + file).values);
      EXPECT_TRUE(difference.Within(kTolerance)) << model << " " << file << ": " << difference.ToString();
    }
  }
}

TEST_F(ConvertDirectory, ThereAndBackGivesTheSameFiles) {
  ASSERT_EQ(Process::Run({"convert", Hf(), "-o", directory_.Path("first/hf")}).exit_code, 0);
  const ProcessResult back = Process::Run(
      {"convert", directory_.Path("first/hf"), "-o", directory_.Path("second/hf"), "--to", "hf"});
  ASSERT_EQ(back.exit_code, 0) << back.err;
  EXPECT_NE(back.out.find("model.safetensors"), std::string::npos) << back.out;
  EXPECT_NE(back.out.find("the 2 blocks that run"), std::string::npos) << back.out;
  EXPECT_NE(back.out.find("mm_vision_select_layer is -1"), std::string::npos) << back.out;
  ASSERT_EQ(
      Process::Run({"convert", directory_.Path("second/hf"), "-o", directory_.Path("third/hf")}).exit_code,
      0);
  for (const std::string file : {"text.gguf", "mmproj.gguf"}) {
    EXPECT_TRUE(Slurp(directory_.Path("first/hf/" + file)) == Slurp(directory_.Path("third/hf/" + file)))
        << file;
  }
}

TEST_F(ConvertDirectory, PresetsChooseTypesPerTensor) {
  const ProcessResult done =
      Process::Run({"convert", Hf(), "-o", Out(), "--type", "q4_0", "--vision-type", "q8_0"});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  const auto text = GgufFile::Open(Out() + "/text.gguf");
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(text->FindTensor("blk.0.ffn_up.weight")->type, DType::kQ4_0);
  EXPECT_EQ(text->FindTensor("output.weight")->type, DType::kQ8_0);  // rows of 64 are no whole blocks of Q6_K
  EXPECT_EQ(text->FindTensor("output_norm.weight")->type, DType::kF32);
}

TEST_F(ConvertDirectory, MissingShard) {
  fs::rename(Weights(), Hf() + "/model-00001-of-00002.safetensors");
  nlohmann::json index;
  index["weight_map"] = {{"lm_head.weight", "model-00001-of-00002.safetensors"},
                         {"model.norm.weight", "model-00002-of-00002.safetensors"}};
  directory_.Write("hf/model.safetensors.index.json", index.dump());
  ExpectConvertRefusal({"model.safetensors.index.json", "model-00002-of-00002.safetensors", "missing"});
  index["weight_map"].erase("model.norm.weight");
  directory_.Write("hf/model.safetensors.index.json", index.dump());
  ExpectConvertRefusal({"names 1 files", "one of 2"});
}

TEST_F(ConvertDirectory, IndexNamingAFileThatIsNotThere) {
  fs::remove(Weights());
  directory_.Write("hf/pytorch_model.bin.index.json", R"({"weight_map": {"lm_head.weight": "nowhere.bin"}})");
  ExpectConvertRefusal({"pytorch_model.bin.index.json", "nowhere.bin", "missing"});
  directory_.Write("hf/pytorch_model.bin.index.json", R"({"weight_map": {"lm_head.weight": "../x.bin"}})");
  ExpectConvertRefusal({"lm_head.weight", "in this directory"});
}

TEST_F(ConvertDirectory, NoWeights) {
  fs::remove(Weights());
  ExpectConvertRefusal({"no weights", "pytorch_model.bin.index.json"});
  fs::remove(Hf() + "/config.json");
  ExpectConvertRefusal({"config.json"});
}

TEST_F(ConvertDirectory, WrongShape) {
  Edit("config.json", "\"intermediate_size\": 192", "\"intermediate_size\": 256");
  ExpectConvertRefusal({"mlp.gate_proj.weight", "wanted shape [256, 64], found [192, 64]"});
}

TEST_F(ConvertDirectory, VocabularyOfAnotherSizeThanTheEmbedding) {
  Edit("config.json", "\"vocab_size\": 768", "\"vocab_size\": 800");
  ExpectConvertRefusal({"model.embed_tokens.weight", "wanted shape [800, 64], found [768, 64]"});
  Edit("config.json", "\"vocab_size\": 800", "\"vocab_size\": 700");
  ExpectConvertRefusal({"tokenizer.model", "768 pieces", "vocab_size 700"});
}

TEST_F(ConvertDirectory, UnknownArchitecture) {
  Edit("config.json", "\"model_type\": \"mobilevlm\"", "\"model_type\": \"qwen2_vl\"");
  ExpectConvertRefusal({"config.json", "model_type", "qwen2_vl", "mobilevlm"});
}

TEST_F(ConvertDirectory, UnknownProjector) {
  Edit("config.json", "ldpnetv2", "resampler");
  ExpectConvertRefusal({"config.json", "mm_projector_type", "resampler"});
}

TEST_F(ConvertDirectory, TowerThatNobodyDescribes) {
  Edit("config.json", "vision_config", "tower_config");
  ExpectConvertRefusal({"config.json", "vision_config is missing", "num_attention_heads"});
}

TEST_F(ConvertDirectory, TruncatedSafetensors) {
  for (const size_t size : {0, 7, 1000, 700'000}) {
    fs::resize_file(Weights(), size);
    ExpectConvertRefusal({"model.safetensors"});
  }
}

TEST_F(ConvertDirectory, SafetensorsHeaderOfAbsurdLength) {
  std::string bytes = Slurp(Weights());
  const uint64_t length = uint64_t{1} << 63;
  std::memcpy(bytes.data(), &length, sizeof(length));
  directory_.Write("hf/model.safetensors", bytes);
  ExpectConvertRefusal({"model.safetensors", "9223372036854775808"});
}

// Headers written by hand: two tensors in eight bytes.
TEST_F(ConvertDirectory, OverlappingAndDuplicateTensors) {
  const auto write = [&](const std::string& header) {
    const uint64_t length = header.size();
    directory_.Write("hf/model.safetensors",
                     std::string(reinterpret_cast<const char*>(&length), 8) + header + std::string(8, '\0'));
  };
  write(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
        R"("b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})");
  ExpectConvertRefusal({"tensor b", "overlapping"});
  write(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
        R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})");
  ExpectConvertRefusal({"tensor a appears twice"});
}

TEST_F(ConvertDirectory, PickleThatWouldRunACommand) {
  UseTorchFile("os_system.bin");
  fs::remove("executed");
  ExpectConvertRefusal({"pytorch_model.bin", "posix.system", "refused"});
  EXPECT_FALSE(fs::exists("executed"));
}

TEST_F(ConvertDirectory, TorchFilesThatAreBroken) {
  for (const auto& [file, word] : {std::pair{"compressed.bin", "compressed"},
                                   {"missing_data.bin", "data/1 is missing"},
                                   {"outside.bin", "leaves its storage"},
                                   {"overflow.bin", "absurd"}}) {
    UseTorchFile(file);
    ExpectConvertRefusal({"pytorch_model.bin", word});
    fs::remove(Hf() + "/pytorch_model.bin");
    fs::copy(Path("nano-ldpv2/hf/model.safetensors"), Weights());
  }
}

// An entry that says it holds two gigabytes in a file of two kilobytes.
TEST_F(ConvertDirectory, ZipBomb) {
  std::string bytes = Slurp(Path("torch_bin/tensors.bin"));
  size_t at = 0;
  for (int entry = 0; entry < 3; ++entry) at = bytes.find("PK\x01\x02", at + 1);
  ASSERT_NE(at, std::string::npos);
  const uint32_t huge = 1u << 31;
  std::memcpy(&bytes[at + 20], &huge, sizeof(huge));
  std::memcpy(&bytes[at + 24], &huge, sizeof(huge));
  fs::remove(Weights());
  directory_.Write("hf/pytorch_model.bin", bytes);
  ExpectConvertRefusal({"pytorch_model.bin", "2147483648 bytes", "do not fit"});
}

TEST_F(ConvertDirectory, FlagsThatDoNotBelongTogether) {
  ExpectRefusal(Process::Run({"convert", Hf(), "-o", Out(), "--type", "q9"}), {"--type", "q9", "q4_k_m"});
  ExpectRefusal(Process::Run({"convert", Hf(), "-o", Out(), "--base", Hf()}), {"is no LoRA adapter"});
  ExpectRefusal(Process::Run({"convert", Hf(), "-o", Out(), "--mmproj", "x"}), {"--to hf"});
  ExpectRefusal(Process::Run({"convert", Hf(), "-o", Out(), "--to", "onnx"}), {"onnx"});
  for (const char* flag : {"--type", "--vision-type"}) {
    ExpectRefusal(Process::Run({"convert", Path("nano-ldpv2/text.gguf"), "-o", directory_.Path("back"),
                                "--to", "hf", flag, "f32"}),
                  {"--type and --vision-type", "to GGUF"});
  }
  ExpectRefusal(Process::Run({"convert", Hf(), "-o", Out(), "--to", "hf"}), {"text.gguf"});
  ExpectRefusal(Process::Run({"convert", Hf(), "-o", Out(), "--vision", Hf()}),
                {"config.json", "model_type"});
}

// A limit on the size of files stands for a full disk: the work ends in the middle.
TEST_F(ConvertDirectory, FullDiskLeavesNoHalfFile) {
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);  // inherited: the write fails instead
  const rlimit small{100'000, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const ProcessResult result = Process::Run({"convert", Hf(), "-o", Out()});
  const ProcessResult back =
      Process::Run({"convert", Path("nano-ldpv2/text.gguf"), "-o", directory_.Path("back"), "--to", "hf"});
  setrlimit(RLIMIT_FSIZE, &old);
  ::signal(SIGXFSZ, handler);
  ExpectRefusal(result, {"text.gguf"});
  EXPECT_TRUE(fs::is_empty(Out()));
  ExpectRefusal(back, {"model.safetensors"});
  EXPECT_TRUE(fs::is_empty(directory_.Path("back")));
}

// The signal comes when the first bytes are on the disk; the search for q2_k's scales takes a while from
// there.
TEST_F(ConvertDirectory, CtrlCLeavesNoHalfFile) {
  const ProcessResult made = Process::Run(
      {"synth", "--size", "mini", "--layout", "hf-bin", "--type", "f16", "-o", directory_.Path("mini")});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  fs::create_directories(Out());
  const ProcessResult result =
      Process::Run({"convert", directory_.Path("mini"), "-o", Out(), "--type", "q2_k", "--threads", "1"},
                   {.interrupt_when = Out()});
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_EQ(result.error_lines(), 1u) << result.err;
  EXPECT_NE(result.err.find("interrupted"), std::string::npos) << result.err;
  EXPECT_TRUE(fs::is_empty(Out()));
}

}  // namespace
}  // namespace mobilevlm::golden
