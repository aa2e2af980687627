// The commands around the engine, as processes: inspect, tokenize, world, eval.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "files.h"
#include "gguf/reader.h"
#include "gguf/writer.h"
#include "golden.h"
#include "json_output.h"
#include "process.h"
#include "refusal.h"

namespace mobilevlm::golden {
namespace {

class SynthProjector : public ::testing::TestWithParam<const char*> {};

TEST_P(SynthProjector, InspectAndRunTakeTheFiles) {
  const TemporaryDirectory directory;
  const ProcessResult made = Process::Run(
      {"synth", "--size", "mini", "--type", "q8_0", "--projector", GetParam(), "-o", directory.Path("out")});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const std::string text = directory.Path("out/text.gguf");
  const std::string mmproj = directory.Path("out/mmproj.gguf");
  EXPECT_EQ(Process::Run({"inspect", text}).exit_code, 0);
  EXPECT_EQ(Json(Process::Run({"inspect", mmproj, "--json"})).at("config").at("projector"), GetParam());
  const nlohmann::json answer =
      Json(Process::Run({"run", "-m", text, "--mmproj", mmproj, "--image", Path("image_336.png"), "-p",
                         "What?", "-n", "3", "--json"}));
  EXPECT_GE(answer["ids"].size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(All, SynthProjector, ::testing::Values("ldp", "ldpv2", "mlp"),
                         [](const auto& test) { return std::string(test.param); });

TEST(Synth, BadInputIsNamed) {
  const TemporaryDirectory directory;
  const std::string out = directory.Path("out");
  ExpectRefusal(Process::Run({"synth", "--size", "2b", "-o", out}), {"2b"});
  ExpectRefusal(Process::Run({"synth", "--size", "mini", "--type", "q9", "-o", out}), {"q9"});
  ExpectRefusal(Process::Run({"synth", "--size", "mini", "--layout", "onnx", "-o", out}), {"onnx", "hf-bin"});
  ExpectRefusal(Process::Run({"synth", "--size", "mini", "--projector", "peg", "-o", out}), {"peg", "ldpv2"});
  ExpectRefusal(Process::Run({"synth", "--size", "mini", "--shards", "2", "-o", out}), {"--shards"});
  const std::vector<std::string> hf{"synth", "--size", "mini", "--layout", "hf-bin", "-o", out};
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--type", "q8_0"}, {"--vision-type", "f16"}, {"--only-text"}}) {
    std::vector<std::string> command = hf;
    command.insert(command.end(), more.begin(), more.end());
    ExpectRefusal(Process::Run(command), {"Hugging Face"});
  }
  ExpectRefusal(Process::Run({"synth", "--size", "mini", "-o", "/proc/nowhere"}), {"/proc/nowhere"});
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(Bench, JsonOfAModelMadeForIt) {
  if (kEmulated) GTEST_SKIP() << "bench starts its own executable, which needs the emulator again";
  const TemporaryDirectory directory;
  const nlohmann::json json =
      Json(Process::Run({"bench", "--size", "mini", "--quant", "q8_0", "--repeats", "1", "--depths", "0",
                         "--threads", "1", "--json", "--svg", directory.Path("roofline.svg")}));
  for (const char* key : {"encode_s", "prompt_tok_s", "decode_tok_s", "first_token_s", "peak_rss_bytes"}) {
    EXPECT_GT(json[key], 0) << key;
  }
  for (const char* key : {"encode", "prompt", "decode"}) EXPECT_GT(json["fractions"][key], 0) << key;
  EXPECT_TRUE(Slurp(directory.Path("roofline.svg")).ends_with("</svg>\n"));
}

TEST(Bench, BadInputIsNamed) {
  ExpectRefusal(Process::Run({"bench", "--size", "2b"}), {"2b"});
  ExpectRefusal(Process::Run({"bench", "--size", "mini", "--quant", "q9"}), {"q9"});
  ExpectRefusal(Process::Run({"bench", "--size", "mini", "-m", "x.gguf"}), {"--size"});
  ExpectRefusal(Process::Run({"bench", "-m", "no.gguf", "--mmproj", "no.gguf"}), {"no.gguf"});
}

TEST(Inspect, TellsWhatAFileIsAndDequantisesATensor) {
  const auto text = Json(Process::Run({"inspect", Path("nano-ldpv2/text.gguf"), "--json"}));
  EXPECT_EQ(text.at("kind"), "text model");
  EXPECT_EQ(text.at("config").at("hidden"), 64);
  const auto mmproj = Json(Process::Run({"inspect", Path("nano80-ldp/mmproj.gguf"), "--json"}));
  EXPECT_EQ(mmproj.at("kind"), "mmproj");
  EXPECT_EQ(mmproj.at("config").at("projector"), "ldp");

  const TemporaryDirectory directory;
  const ProcessResult dumped = Process::Run({"inspect", Path("nano-ldpv2/text.gguf"), "--tensor",
                                             "blk.0.ffn_up.weight", "--npy", directory.Path("up.npy")});
  ASSERT_EQ(dumped.exit_code, 0) << dumped.err;
  const auto array = ReadNpy(directory.Path("up.npy"));
  ASSERT_TRUE(array) << array.error().message;
  EXPECT_EQ(array->shape, (std::vector<size_t>{192, 64}));
  ExpectRefusal(Process::Run({"inspect", Path("nano-ldpv2/text.gguf"), "--tensor", "no.such", "--npy",
                              directory.Path("no.npy")}),
                {"no.such"});
  ExpectRefusal(Process::Run({"inspect", Path("image_336.png")}), {"image_336.png"});
}

TEST(Inspect, DequantisesToTheReferencesValues) {
  const TemporaryDirectory directory;
  for (const std::string type :
       {"f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k"}) {
    const std::string out = directory.Path(type + ".npy");
    const ProcessResult dumped =
        Process::Run({"inspect", Path("quants/every_type.gguf"), "--tensor", "w." + type, "--npy", out});
    ASSERT_EQ(dumped.exit_code, 0) << dumped.err;
    const auto found = ReadNpy(out);
    ASSERT_TRUE(found) << found.error().message;
    const NpyArray wanted = ReadGolden("quants/" + type + ".npy");
    EXPECT_EQ(found->shape, wanted.shape) << type;
    EXPECT_TRUE(found->values == wanted.values) << type;
  }
}

// The text model's metadata without its tensors.
TEST(Tokenize, WorksOnAVocabularyOnlyFile) {
  const TemporaryDirectory directory;
  const auto model = GgufFile::Open(Path("nano-ldpv2/text.gguf"));
  ASSERT_TRUE(model) << model.error().message;
  GgufWriter writer;
  writer.SetString("general.architecture", "llama");
  writer.SetString("tokenizer.ggml.model", "llama");
  writer.SetStrings("tokenizer.ggml.tokens", *model->GetStrings("tokenizer.ggml.tokens"));
  writer.SetF32s("tokenizer.ggml.scores", *model->GetF32s("tokenizer.ggml.scores"));
  const std::vector<int64_t> types = *model->GetInts("tokenizer.ggml.token_type");
  writer.SetI32s("tokenizer.ggml.token_type", std::vector<int32_t>(types.begin(), types.end()));
  const std::string path = directory.Path("vocabulary.gguf");
  ASSERT_TRUE(writer.Write(path));
  const auto json = Json(Process::Run({"tokenize", "-m", path, "--json", "--", "What is </s>\\n?"}));
  EXPECT_EQ(
      json.at("ids"),
      Json(Process::Run({"tokenize", "-m", Path("nano-ldpv2/text.gguf"), "--json", "--", "What is </s>\\n?"}))
          .at("ids"));
  EXPECT_EQ(std::count(json.at("ids").begin(), json.at("ids").end(), 2), 0);  // no </s>
  EXPECT_EQ(Json(Process::Run({"inspect", path, "--json"})).at("kind"), "vocabulary only");
}

TEST(Tokenize, EveryCaseOfTheReferenceFromBothKindsOfVocabulary) {
  const auto cases = nlohmann::json::parse(Slurp(Path("tokenizer/tokenizer_cases.json")));
  ASSERT_GT(cases.size(), 10u);
  for (const std::string vocabulary : {"tokenizer/tokenizer.model", "nano-ldpv2/text.gguf"}) {
    for (const auto& item : cases) {
      const std::string text = item.at("text");
      const auto json = Json(Process::Run({"tokenize", "-m", Path(vocabulary), "--json", "--", text}));
      EXPECT_EQ(json.at("ids"), item.at("ids")) << vocabulary << ": " << text;
    }
  }
}

#if defined(MOBILEVLM_WORLD)
TEST(World, TheSameCallWritesTheSameFiles) {
  const TemporaryDirectory directory;
  for (const std::string name : {"a", "b"}) {
    const ProcessResult written =
        Process::Run({"world", "--per-kind", "2", "--limit", "6", "--out", directory.Path(name)});
    ASSERT_EQ(written.exit_code, 0) << written.err;
  }
  const std::string annotations = Slurp(directory.Path("a/annotations.json"));
  EXPECT_EQ(annotations, Slurp(directory.Path("b/annotations.json")));
  const auto samples = nlohmann::json::parse(annotations);
  ASSERT_EQ(samples.size(), 6u);
  for (const auto& sample : samples) {
    const std::string image = sample.at("image");
    EXPECT_EQ(Slurp(directory.Path("a/" + image)), Slurp(directory.Path("b/" + image)));
  }
  ExpectRefusal(Process::Run({"world", "--split", "exam", "--out", directory.Path("c")}), {"exam"});
}

TEST(EvalWorld, ScoresEveryKindWithAndWithoutThePicture) {
  const auto json =
      Json(Process::Run({"eval", "world", "-m", Path("nano-ldpv2/text.gguf"), "--mmproj",
                         Path("nano-ldpv2/mmproj.gguf"), "--kind", "presence", "--per-kind", "2", "--json"}));
  const auto& presence = json.at("kinds").at("presence");
  EXPECT_EQ(presence.at("questions"), 2);
  EXPECT_TRUE(presence.contains("blank"));
  EXPECT_EQ(presence.at("chance"), 0.5);
  ExpectRefusal(Process::Run({"eval", "world", "--kind", "smell"}), {"smell"});
}

TEST(EvalWorld, CtrlCEndsCleanly) {
  const ProcessResult result =
      Process::Run({"eval", "world", "-m", Path("nano-ldpv2/text.gguf"), "--mmproj",
                    Path("nano-ldpv2/mmproj.gguf"), "--per-kind", "100000", "--show-wrong"},
                   {.interrupt = true});
  EXPECT_EQ(result.signal, 0);
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_NE(result.err.find("interrupted"), std::string::npos) << result.err;
}
#endif

// What scripts/demo shows: the bundled model, found without -m, says what it knows and answers rightly.
TEST(BundledModel, AnswersTheDemosQuestions) {
  const struct {
    const char* picture;
    const char* question;
    const char* answer;
  } kDemo[] = {{"farm.png", "Where is the rooster?", "top left"},
               {"chart.png", "Which bar is tallest?", "red"},
               {"shapes.png", "Which shape is white?", "square"}};
  for (const auto& [picture, question, answer] : kDemo) {
    const ProcessResult result =
        Process::Run({"run", "--image", std::string(MOBILEVLM_SOURCE_DIR "/models/mini/samples/") + picture,
                      "-p", question});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, std::string(answer) + "\n") << result.err;
    EXPECT_NE(result.err.find("mini world"), std::string::npos) << result.err;
  }
}

}  // namespace
}  // namespace mobilevlm::golden
