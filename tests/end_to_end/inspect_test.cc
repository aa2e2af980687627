// mobilevlm inspect on what Hugging Face holds: model directories, shards, LoRA adapters.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "files.h"
#include "golden.h"
#include "json_output.h"
#include "process.h"
#include "refusal.h"

namespace mobilevlm::golden {
namespace {

TEST(Inspect, DescribesAModelDirectory) {
  const auto v2 = Json(Process::Run({"inspect", Path("nano-ldpv2/hf"), "--json"}));
  EXPECT_EQ(v2.at("kind"), "MobileVLM V2");
  EXPECT_EQ(v2.at("format"), "Hugging Face, model.safetensors (82 tensors)");
  EXPECT_EQ(v2.at("config").at("projector"), "ldpv2");
  EXPECT_EQ(v2.at("config").at("pieces"), 768);
  EXPECT_TRUE(v2.at("problems").empty()) << v2.at("problems");
  EXPECT_TRUE(v2.at("unexpected_tensors").empty()) << v2.at("unexpected_tensors");
  EXPECT_EQ(v2.at("unused_tensors").size(), 18u);  // the last block and post_layernorm
  EXPECT_EQ(Json(Process::Run({"inspect", Path("nano80-ldp/hf"), "--json"})).at("kind"), "MobileVLM V1");
  EXPECT_EQ(Json(Process::Run({"inspect", Path("nano-mlp/hf"), "--json"})).at("kind"), "LLaVA-1.5");
}

TEST(Inspect, ReadsTheOfficialLayoutInTwoShards) {
  const TemporaryDirectory directory;
  const std::string out = directory.Path("hf");
  ASSERT_EQ(
      Process::Run({"synth", "--size", "mini", "--layout", "hf-bin", "--shards", "2", "-o", out}).exit_code,
      0);
  const auto whole = Json(Process::Run({"inspect", out, "--json"}));
  EXPECT_TRUE(whole.at("problems").empty()) << whole.at("problems");
  EXPECT_NE(whole.at("format").get<std::string>().find("pytorch_model-00002-of-00002.bin"),
            std::string::npos);
  const std::string first = out + "/pytorch_model-00001-of-00002.bin";
  const auto shard = Json(Process::Run({"inspect", first, "--json"}));
  EXPECT_EQ(shard.at("format"), "torch");
  EXPECT_LT(shard.at("tensors").size(), whole.at("tensors").size());
  const ProcessResult dumped =
      Process::Run({"inspect", out, "--tensor", "model.mm_projector.peg.peg.0.weight", "--npy",
                    directory.Path("peg.npy")});
  ASSERT_EQ(dumped.exit_code, 0) << dumped.err;
  EXPECT_EQ(ReadNpy(directory.Path("peg.npy"))->shape, (std::vector<size_t>{256, 1, 3, 3}));
  // What is missing is a problem, not the end.
  std::filesystem::remove(out + "/tokenizer.model");
  std::filesystem::remove(out + "/pytorch_model-00002-of-00002.bin");
  const auto broken = Json(Process::Run({"inspect", out, "--json"}));
  EXPECT_EQ(broken.at("problems").size(), 2u) << broken.at("problems");
  std::filesystem::remove(out + "/config.json");
  EXPECT_EQ(Json(Process::Run({"inspect", out, "--json"})).at("kind"), "model directory");
  ExpectRefusal(Process::Run({"inspect", directory.Path("")}), {"no model directory"});
}

TEST(Inspect, TellsMissingUnexpectedAndMisshapenTensors) {
  const TemporaryDirectory directory;
  std::filesystem::copy(Path("nano-ldpv2/hf"), directory.Path("hf"));
  const std::string weights = directory.Path("hf/model.safetensors");
  std::string bytes = Slurp(weights);
  const auto rename = [&bytes](std::string_view from, std::string_view to) {
    ASSERT_EQ(from.size(), to.size());
    const size_t at = bytes.find(from);
    ASSERT_NE(at, std::string::npos);
    bytes.replace(at, from.size(), to);
  };
  rename("model.norm.weight", "model.morn.weight");
  std::filesystem::permissions(weights, std::filesystem::perms::owner_all);
  std::filesystem::remove(weights);
  directory.Write("hf/model.safetensors", bytes);
  const auto report = Json(Process::Run({"inspect", directory.Path("hf"), "--json"}));
  ASSERT_EQ(report.at("problems").size(), 1u) << report.at("problems");
  EXPECT_NE(report.at("problems")[0].get<std::string>().find("model.norm.weight is missing"),
            std::string::npos);
  EXPECT_EQ(report.at("unexpected_tensors"), nlohmann::json({"model.morn.weight"}));
}

// A LoRA adapter of the given rows for one matrix of nano-ldpv2, all zeros.
void WriteAdapter(const TemporaryDirectory& directory, uint64_t rows) {
  constexpr uint64_t kRank = 4, kHidden = 64, kF32 = 4;
  const std::string matrix = "base_model.model.model.layers.0.self_attn.q_proj.lora_";
  const uint64_t a = kRank * kHidden * kF32, b = rows * kRank * kF32;
  const nlohmann::json header = {
      {matrix + "A.weight", {{"dtype", "F32"}, {"shape", {kRank, kHidden}}, {"data_offsets", {0, a}}}},
      {matrix + "B.weight", {{"dtype", "F32"}, {"shape", {rows, kRank}}, {"data_offsets", {a, a + b}}}}};
  const std::string text = header.dump();
  const uint64_t length = text.size();
  directory.Write(
      "adapter_model.safetensors",
      std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + text + std::string(a + b, '\0'));
  directory.Write("adapter_config.json", R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8})");
}

TEST(Inspect, DescribesALoraAdapter) {
  const TemporaryDirectory directory;
  WriteAdapter(directory, 64);
  const auto report = Json(Process::Run({"inspect", directory.Path(""), "--json"}));
  EXPECT_EQ(report.at("kind"), "LoRA adapter");
  EXPECT_EQ(report.at("config").at("rank"), 4);
  EXPECT_EQ(report.at("config").at("scale"), 2);
  EXPECT_EQ(report.at("config").at("changed_matrices"), 1);
  EXPECT_EQ(report.at("tensors").size(), 2u);
  const std::string base = Path("nano-ldpv2/hf");
  const auto fits = Json(Process::Run({"inspect", directory.Path(""), "--base", base, "--json"}));
  EXPECT_TRUE(fits.at("problems").empty()) << fits.at("problems");
  // One row too many: a problem that names the matrix.
  WriteAdapter(directory, 65);
  const auto wrong = Json(Process::Run({"inspect", directory.Path(""), "--base", base, "--json"}));
  ASSERT_EQ(wrong.at("problems").size(), 1u);
  EXPECT_NE(wrong.at("problems")[0].get<std::string>().find("layers.0.self_attn.q_proj"), std::string::npos);
  ExpectRefusal(Process::Run({"inspect", base, "--base", base}), {"is no LoRA adapter"});
  ExpectRefusal(Process::Run({"inspect", Path("nano-ldpv2/text.gguf"), "--base", base}),
                {"is no LoRA adapter"});
}

}  // namespace
}  // namespace mobilevlm::golden
