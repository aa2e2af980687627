// A second oracle for text models: llama.cpp, through npm's node-llama-cpp and the engine it brings along. It
// must open a file of every type that is written here, cut text into the same ids, and continue it with the
// same ones.
//
// The package is not part of the build. Where it is: MOBILEVLM_NODE_MODULES, from the environment or from
// CMake (a node_modules directory after `npm install node-llama-cpp`). Without it the tests are skipped.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "../end_to_end/files.h"
#include "../end_to_end/process.h"
#include "engine/runtime.h"
#include "sample/sampler.h"

namespace mobilevlm::golden {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kContinued = 4;
// Two engines round activations to 8 bits differently (llama.cpp in blocks of 256 for the K formats). Where
// they choose another id, ours must have thought the other one nearly as likely (difference of two logits;
// the largest seen is 0.29, with q2_k), and that must be rare.
constexpr double kNearTie = 0.5;
constexpr double kLeastSame = 0.97;

const std::vector<std::string> kTexts{
    "What is in the picture?",
    "USER: How many red circles are there?\nASSISTANT:",
    "  two  spaces, Wörter, 42 % \xE7\x8A\xAC\n",
    "",
    "The answer is </s> not here.",
};

std::string NodeModules() {
  const char* variable = std::getenv("MOBILEVLM_NODE_MODULES");
  return variable != nullptr ? variable : MOBILEVLM_NODE_MODULES;
}

std::string WhyNot() {
  if (NodeModules().empty()) {
    return "MOBILEVLM_NODE_MODULES is not set (the node_modules of `npm install node-llama-cpp`)";
  }
  if (!fs::exists(NodeModules() + "/node-llama-cpp")) return NodeModules() + ": no node-llama-cpp there";
  if (std::system("node --version > /dev/null 2>&1") != 0) return "there is no node to run";
  return "";
}

// What llama.cpp says of each file.
Json AskLlamaCpp(const TemporaryDirectory& directory, const Json& request) {
  const std::string in = directory.Write("request.json", request.dump());
  const std::string out = directory.Path("result.json");
  const std::string command = fmt::format("node '{}/tests/llama_cpp/greedy.mjs' '{}' '{}' > '{}'",
                                          MOBILEVLM_SOURCE_DIR, NodeModules(), in, out);
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  return Json::parse(Slurp(out), nullptr, /*allow_exceptions=*/false);
}

struct TextModel {
  std::string name, text, mmproj;
};

class LlamaCpp : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = WhyNot(); !reason.empty()) GTEST_SKIP() << reason;
  }

  // The ids that both continue: every beginning of some questions and answers, so that there is something to
  // say (without a picture, a model that has finished its sentence says no more).
  static std::vector<std::vector<int>> Prompts(const Tokenizer& tokenizer) {
    std::vector<std::vector<int>> prompts;
    for (const char* text : {"USER: How many red circles are there? ASSISTANT: There are three",
                             "The picture shows a red circle and a blue square on the left of a green tree",
                             "Is there a house in the picture? Yes, there is a house with a"}) {
      std::vector<int> ids{tokenizer.bos()};
      for (const int id : tokenizer.Encode(text)) {
        ids.push_back(id);
        prompts.push_back(ids);
      }
    }
    return prompts;
  }

  void Compare(const std::vector<TextModel>& models) {
    std::vector<std::shared_ptr<engine::Runtime>> runtimes;
    Json request = Json::array();
    for (const TextModel& model : models) {
      auto runtime = engine::Runtime::Load({.text = model.text, .mmproj = model.mmproj, .threads = 1});
      ASSERT_TRUE(runtime) << runtime.error().message;
      request.push_back({{"model", model.text},
                         {"texts", kTexts},
                         {"prompts", Prompts((*runtime)->model().tokenizer)},
                         {"count", kContinued}});
      runtimes.push_back(*runtime);
    }
    const Json results = AskLlamaCpp(directory_, request);
    ASSERT_TRUE(results.is_array() && results.size() == models.size());
    for (size_t i = 0; i < models.size(); ++i) {
      SCOPED_TRACE(models[i].name);
      fmt::print("{}:\n", models[i].name);
      ASSERT_FALSE(results[i].contains("error")) << results[i].dump();
      CompareOne(*runtimes[i], results[i]);
    }
  }

  TemporaryDirectory directory_;

 private:
  static void CompareOne(engine::Runtime& runtime, const Json& theirs) {
    const Tokenizer& tokenizer = runtime.model().tokenizer;
    for (size_t t = 0; t < kTexts.size(); ++t) {
      EXPECT_EQ(theirs.at("texts").at(t).get<std::vector<int>>(), tokenizer.Encode(kTexts[t])) << kTexts[t];
    }
    const auto prompts = Prompts(tokenizer);
    int same = 0, all = 0;
    std::set<int> distinct;
    for (size_t p = 0; p < prompts.size(); ++p) {
      const auto answer = theirs.at("answers").at(p).get<std::vector<int>>();
      ASSERT_EQ(answer.size(), static_cast<size_t>(kContinued));
      distinct.insert(answer.begin(), answer.end());
      CompareAnswer(runtime, prompts[p], answer, same, all);
    }
    fmt::print("  {} of {} ids are the same, {} different ones\n", same, all, distinct.size());
    EXPECT_GE(same, kLeastSame * all);
    EXPECT_GE(all, 100);
    EXPECT_GE(distinct.size(), 10u);
  }

  // Reads llama.cpp's answer, and asks at every id whether it is ours.
  static void CompareAnswer(engine::Runtime& runtime, const std::vector<int>& prompt,
                            const std::vector<int>& answer, int& same, int& all) {
    auto cache = runtime.NewCache();
    ASSERT_TRUE(cache) << cache.error().message;
    std::vector<engine::Position> positions;
    for (const int id : prompt) positions.push_back({.id = id});
    std::vector<float> logits(static_cast<size_t>(runtime.model().llm.vocab));
    const Mat<float> last(logits.data(), 1, logits.size());
    runtime.pipeline().Prefill(positions, *cache, last);
    for (size_t i = 0; i < answer.size(); ++i) {
      const auto theirs = static_cast<size_t>(answer[i]), ours = static_cast<size_t>(ArgMax(logits));
      ++all;
      same += ours == theirs ? 1 : 0;
      if (ours != theirs) fmt::print("  nearly as likely: {:.4f}\n", logits[ours] - logits[theirs]);
      EXPECT_LE(logits[ours] - logits[theirs], kNearTie) << "id " << i << ": " << theirs << ", ours " << ours;
      if (i + 1 < answer.size()) runtime.pipeline().Step(answer[i], *cache, last);
    }
  }
};

std::string Source(const std::string& name) { return std::string(MOBILEVLM_SOURCE_DIR) + "/" + name; }

TEST_F(LlamaCpp, OpensEveryTypeThatQuantizeWrites) {
  const std::string mini = Source("models/mini/text.gguf"), mmproj = Source("models/mini/mmproj.gguf");
  std::vector<TextModel> models{{"bundled", mini, mmproj}};
  for (const std::string type :
       {"q2_k", "q3_k_m", "q4_0", "q4_1", "q4_k_s", "q4_k_m", "q5_0", "q5_1", "q5_k_m", "q6_k", "q8_0"}) {
    const std::string out = directory_.Path(type + ".gguf");
    const ProcessResult done = Process::Run({"quantize", mini, out, type, "--requantize"});
    ASSERT_EQ(done.exit_code, 0) << done.err;
    models.push_back({type, out, mmproj});
  }
  Compare(models);
}

TEST_F(LlamaCpp, OpensWhatConvertAndSynthWrite) {
  std::vector<TextModel> models;
  for (const std::string type : {"f32", "f16", "bf16"}) {
    const std::string out = directory_.Path("nano_" + type);
    const ProcessResult done =
        Process::Run({"convert", Source("tests/golden/nano-ldpv2/hf"), "-o", out, "--type", type});
    ASSERT_EQ(done.exit_code, 0) << done.err;
    models.push_back({"nano " + type, out + "/text.gguf", out + "/mmproj.gguf"});
  }
  const std::string out = directory_.Path("synth");
  const ProcessResult done = Process::Run({"synth", "--size", "mini", "--type", "q4_0", "-o", out});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  models.push_back({"synth", out + "/text.gguf", out + "/mmproj.gguf"});
  Compare(models);
}

}  // namespace
}  // namespace mobilevlm::golden
