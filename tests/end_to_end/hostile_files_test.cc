// Files that are made to bring a reader down: JSON nested deeper than a stack is, shapes that no memory
// holds.
#include <gtest/gtest.h>

#include <filesystem>
#include <string_view>

#include "base/atomic_file.h"
#include "files.h"
#include "golden.h"
#include "process.h"
#include "refusal.h"
#include "synth/zip_writer.h"

namespace mobilevlm::golden {
namespace {

namespace fs = std::filesystem;

class HostileFiles : public ::testing::Test {
 protected:
  // `before` + 200,000 lists in each other + `after`.
  static std::string Nested(const std::string& before, const std::string& after) {
    constexpr size_t kDepth = 200'000;
    return before + std::string(kDepth, '[') + std::string(kDepth, ']') + after;
  }
  static void ExpectTooDeep(const ProcessResult& result, const std::string& where) {
    ExpectRefusal(result, {where, "nested at most 256 deep, found 200"});
  }

  TemporaryDirectory directory_;
};

TEST_F(HostileFiles, NestedConfigOfAnAdapter) {
  directory_.Write("adapter_config.json", Nested(R"({"peft_type": "LORA", "r": 4, "bias": )", "}"));
  ExpectTooDeep(Process::Run({"inspect", directory_.Path("")}), "adapter_config.json");
}

TEST_F(HostileFiles, NestedIndexOfWeights) {
  fs::create_directory(directory_.Path("hf"));
  fs::copy(Path("nano-ldpv2/hf/config.json"), directory_.Path("hf/config.json"));
  directory_.Write("hf/model.safetensors.index.json", Nested(R"({"weight_map": {"a": )", "}}"));
  ExpectTooDeep(Process::Run({"convert", directory_.Path("hf"), "-o", directory_.Path("out")}),
                "model.safetensors.index.json");
}

TEST_F(HostileFiles, NestedConfigOfAModel) {
  fs::create_directory(directory_.Path("hf"));
  directory_.Write("hf/config.json", Nested(R"({"model_type": "mobilevlm", "hidden_size": )", "}"));
  const ProcessResult inspected = Process::Run({"inspect", directory_.Path("hf")});
  EXPECT_EQ(inspected.exit_code, 0) << "signal " << inspected.signal << inspected.err;
  EXPECT_NE(inspected.out.find("PROBLEMS"), std::string::npos) << inspected.out;
}

TEST_F(HostileFiles, NestedPredictions) {
  const std::string file = directory_.Write("p.jsonl", Nested(R"({"prediction": )", "}\n"));
  ExpectTooDeep(Process::Run({"eval", "score", "--metric", "gqa_em", file}), "p.jsonl:1");
}

TEST_F(HostileFiles, NestedBatch) {
  const auto run = [&](const std::string& line, const std::string& out) {
    return Process::Run({"run", "-m", Path("nano-ldpv2/text.gguf"), "--mmproj",
                         Path("nano-ldpv2/mmproj.gguf"), "--batch", directory_.Write("in.jsonl", line), "-p",
                         "What?", "-n", "2", "-o", out});
  };
  const std::string out = directory_.Path("out.jsonl");
  for (const char* before :
       {R"({"image": )", R"({"image": "a.png", "id": )", R"({"image": "a.png", "prompt": )"}) {
    ExpectTooDeep(run(Nested(before, "}\n"), out), "in.jsonl:1");
  }
  // Answers of an earlier run, changed since.
  directory_.Write("out.jsonl", Nested(R"({"image":)", R"(, "prompt": "What?", "run": "0"})"
                                                       "\n"));
  const ProcessResult result = run("{\"image\": \"a.png\"}\n", out);
  EXPECT_EQ(result.exit_code, 2) << "signal " << result.signal;
  EXPECT_NE(result.err.find("out.jsonl:1: not a row of answers"), std::string::npos) << result.err;
}

// A tensor "w" of 2^61 elements, all of them the one that is stored.
TEST_F(HostileFiles, AnElementThatIsRepeatedBeyondAnyMemory) {
  constexpr char kPickle[] =
      "\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n(("
      "X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0"
      "0X\x03\0\0\0cpuK\x01tQK\0"
      "\x8a\x08\0\0\0\0\0\0\0\x20\x85K\0\x85\x89"
      "ccollections\nOrderedDict\n)RtRs.";
  const std::string path = directory_.Path("evil.bin");
  {
    auto file = AtomicFile::Create(path);
    ASSERT_TRUE(file) << file.error().message;
    ZipWriter zip(*file);
    ASSERT_TRUE(zip.Add("archive/data.pkl", std::string_view(kPickle, sizeof(kPickle) - 1)));
    ASSERT_TRUE(zip.Add("archive/data/0", std::string_view("\0\0\0\0", 4)));
    ASSERT_TRUE(zip.Finish());
    ASSERT_TRUE(file->Commit());
  }
  EXPECT_EQ(Process::Run({"inspect", path}).exit_code, 0);
  ExpectRefusal(Process::Run({"inspect", path, "--tensor", "w", "--npy", directory_.Path("o.npy")}),
                {"evil.bin: tensor w", "wanted at most the 1 elements", "[2305843009213693952]"});
  EXPECT_FALSE(fs::exists(directory_.Path("o.npy")));
}

#if defined(MOBILEVLM_WORLD)
// The trainer is looked for first, and never started.
TEST_F(HostileFiles, StateOfAStageWithOtherTypes) {
  const std::string trainer = directory_.Write("mobilevlm-train", "#!/bin/false\n");
  fs::permissions(trainer, fs::perms::owner_all);
  fs::create_directories(directory_.Path("base/tower/latest"));
  directory_.Write("base/tower/latest/model.safetensors", "weights");
  const auto run = [&](const std::string& state) {
    directory_.Write("base/tower/latest/state.json", state);
    return Process::Run({"experiment", "ablations", "--base", directory_.Path("base"), "--work",
                         directory_.Path("work"), "--out", directory_.Path("out")},
                        {.environment = {"PATH=" + directory_.Path("")}});
  };
  ExpectRefusal(run(R"({"finished": "yes", "step": 3})"), {"state.json: finished: wanted true or false"});
  ExpectRefusal(run(R"({"finished": false, "step": "three"})"), {"state.json: step: wanted a whole number"});
  ExpectRefusal(run(R"({"finished": false, "step": 3})"), {"wanted a finished stage", "of step 3"});
  ExpectTooDeep(run(Nested(R"({"finished": )", "}")), "state.json");
}
#endif

}  // namespace
}  // namespace mobilevlm::golden
