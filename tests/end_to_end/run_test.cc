// The executable as a user meets it: run, chat, trace, help, Ctrl-C.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/sanitizer.h"
#include "compare.h"
#include "files.h"
#include "kernels/dispatch.h"
#include "process.h"

namespace mobilevlm::golden {
namespace {

const std::vector<std::string> kModel{"-m", Path("nano-ldpv2/text.gguf"), "--mmproj",
                                      Path("nano-ldpv2/mmproj.gguf")};

ProcessResult RunWith(const std::string& command, const std::vector<std::string>& more,
                      const ProcessOptions& options = {}) {
  std::vector<std::string> arguments{command};
  arguments.insert(arguments.end(), kModel.begin(), kModel.end());
  arguments.insert(arguments.end(), more.begin(), more.end());
  return Process::Run(arguments, options);
}

nlohmann::json AskJson(std::vector<std::string> more, const ProcessOptions& options = {}) {
  more.push_back("--json");
  const ProcessResult result = RunWith("run", more, options);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 1) << result.out;
  return nlohmann::json::parse(result.out.empty() ? "{}" : result.out);
}

TEST(Run, JsonTellsAnswerIdsStopAndTiming) {
  const nlohmann::json json = AskJson({"--image", Path("image_336.png"), "-p", "What is this?", "-n", "12"});
  ASSERT_TRUE(json.is_object());
  EXPECT_TRUE(json.at("answer").is_string());
  EXPECT_EQ(json.at("ids").size(), 12u);
  EXPECT_EQ(json.at("stop"), "max_tokens");
  EXPECT_EQ(json.at("timing").at("generated"), 12);
  EXPECT_GT(json.at("timing").at("prompt_positions"), 144);
  EXPECT_GT(json.at("timing").at("image_ms"), 0);
}

TEST(Run, SpeculationIsCountedAndChangesNothing) {
  const std::vector<std::string> question{"--image", Path("image_336.png"), "-p", "What?", "-n",
                                          "48",      "--repeat-penalty",    "0.5"};
  const auto ask = [&](const std::string& speculate) {
    std::vector<std::string> arguments = question;
    arguments.insert(arguments.end(), {"--speculate", speculate});
    return AskJson(arguments);
  };
  const nlohmann::json off = ask("off"), four = ask("4"), automatic = ask("auto");
  EXPECT_EQ(off.at("timing").at("drafted"), 0);
  EXPECT_GT(four.at("timing").at("accepted"), 0);
  EXPECT_GE(four.at("timing").at("drafted"), four.at("timing").at("accepted"));
  EXPECT_EQ(four.at("ids"), off.at("ids"));
  EXPECT_EQ(automatic.at("ids"), off.at("ids"));

  for (const std::string bad : {"-1", "many", "17"}) {
    const ProcessResult result = RunWith("run", {"-p", "What?", "--speculate", bad});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(result.err.find(bad), std::string::npos) << result.err;
  }
}

TEST(Run, StreamsTheAnswerAndPutsTheTimingOnStandardError) {
  const std::vector<std::string> question{"--image", Path("image_336.png"), "-p", "What?", "-n", "20"};
  const ProcessResult result = RunWith("run", question);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const std::string answer = AskJson(question).at("answer");
  EXPECT_NE(result.out.find(answer), std::string::npos) << result.out << " | " << answer;
  EXPECT_TRUE(result.out.ends_with('\n'));
  EXPECT_EQ(result.error_lines(), 1u) << result.err;
  for (const char* word : {"load", "image", "prompt", "tokens/s"}) {
    EXPECT_NE(result.err.find(word), std::string::npos) << result.err;
  }
}

TEST(Run, SameIdsForEveryThreadCountSeedAndPictureSource) {
  const std::string picture = Path("preprocess/04_1280x720.jpg");
  const std::vector<std::string> sampling{"-p", "What?", "-n", "16", "--temp", "0.8", "--top-k", "50"};
  const auto ask = [&](const std::string& image, const std::vector<std::string>& more,
                       const ProcessOptions& options) {
    std::vector<std::string> arguments{"--image", image};
    arguments.insert(arguments.end(), sampling.begin(), sampling.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    return AskJson(arguments, options).at("ids");
  };
  const auto ids = ask(picture, {"--seed", "5"}, {});
  EXPECT_EQ(ids, ask(picture, {"--seed", "5", "--threads", "1"}, {}));
  EXPECT_EQ(ids, ask("-", {"--seed", "5"}, {.input = Slurp(picture)}));
  EXPECT_NE(ids, ask(picture, {"--seed", "6"}, {}));
  EXPECT_NE(ids, ask(picture, {"--seed", "5", "--image-mode", "crop"}, {}));
}

// 400 MiB hold the stacks of some tens of threads.
TEST(Run, MoreThreadsThanTheSystemGives) {
  if (kAddressSanitizer) GTEST_SKIP() << "AddressSanitizer itself maps terabytes";
  const std::vector<std::string> question{"-p", "What?", "-n", "2"};
  std::vector<std::string> many = question;
  many.insert(many.end(), {"--threads", "200"});
  EXPECT_EQ(AskJson(many, {.address_space = 400 << 20}).at("ids"), AskJson(question).at("ids"));
}

TEST(Run, StopStringEndsTheAnswerBeforeIt) {
  const std::vector<std::string> question{"--image", Path("image_336.png"), "-p", "What?", "-n", "40"};
  const std::string whole = AskJson(question).at("answer");
  ASSERT_GT(whole.size(), 8u);
  const std::string stop = whole.substr(whole.size() / 2, 2);
  std::vector<std::string> stopped = question;
  stopped.insert(stopped.end(), {"--stop", stop});
  const nlohmann::json json = AskJson(stopped);
  EXPECT_EQ(json.at("stop"), "stop");
  const std::string answer = json.at("answer");
  EXPECT_EQ(answer.find(stop), std::string::npos);
  EXPECT_TRUE(whole.starts_with(answer));
}

// Each of them alone leaves only the likeliest id, so the answer is the greedy one; without them it is not.
TEST(Run, SamplerFlagsReachTheSampler) {
  const std::vector<std::string> question{"--image", Path("image_336.png"), "-p", "What?", "-n", "16"};
  const auto ids = [&](const std::vector<std::string>& flags) {
    std::vector<std::string> arguments = question;
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return AskJson(arguments).at("ids");
  };
  const auto greedy = ids({});
  EXPECT_NE(ids({"--temp", "2"}), greedy);
  EXPECT_EQ(ids({"--temp", "2", "--top-k", "1"}), greedy);
  EXPECT_EQ(ids({"--temp", "2", "--top-p", "0.000001"}), greedy);
  EXPECT_EQ(ids({"--temp", "2", "--min-p", "1"}), greedy);
  EXPECT_NE(ids({"--repeat-penalty", "100"}), greedy);
}

TEST(Run, TemplateAndSystemDecideThePrompt) {
  const auto positions = [](const std::vector<std::string>& flags) {
    std::vector<std::string> arguments{"--image", Path("image_336.png"), "-p", "What?", "-n", "1"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return AskJson(arguments).at("timing").at("prompt_positions").get<int>();
  };
  EXPECT_EQ(positions({"--template", "plain"}), 1 + 144);  // BOS and the picture
  EXPECT_LT(positions({"--system", "Be brief."}), positions({"--template", "v1"}));
}

TEST(Run, SaysWhatMemoryItNeedsAndInspectAgrees) {
  const std::vector<std::string> question{"-p", "What?", "-n", "1"};
  const auto needs = [&](std::vector<std::string> flags) {
    flags.insert(flags.end(), question.begin(), question.end());
    return AskJson(flags).at("memory");
  };
  const auto inspect = [](const std::string& file) {
    return nlohmann::json::parse(Process::Run({"inspect", Path(file), "--json"}).out).at("memory");
  };
  const auto f16 = needs({}), text = inspect("nano-ldpv2/text.gguf"),
             mmproj = inspect("nano-ldpv2/mmproj.gguf");
  for (const char* part : {"weights", "kv_cache", "activations", "total"}) {
    EXPECT_GT(f16.at(part).get<uint64_t>(), 0u) << part;
    EXPECT_EQ(f16.at(part).get<uint64_t>(), text.at(part).get<uint64_t>() + mmproj.at(part).get<uint64_t>())
        << part;
  }
  EXPECT_EQ(needs({"--kv", "f32"}).at("kv_cache").get<uint64_t>(), 2 * f16.at("kv_cache").get<uint64_t>());
  EXPECT_EQ(2 * needs({"--ctx", "1024"}).at("kv_cache").get<uint64_t>(), f16.at("kv_cache").get<uint64_t>());
  EXPECT_NE(RunWith("run", question).err.find(" MiB | "), std::string::npos);
}

TEST(Run, FullContextIsSaid) {
  const ProcessResult result = RunWith("run", {"-p", "What?", "--ctx", "110", "-n", "500"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("the context of 110 positions is full"), std::string::npos) << result.err;
}

TEST(Run, WithoutAModelUsesTheBundledOneAndSaysWhatItKnows) {
  const ProcessResult result =
      Process::Run({"run", "--image", Path("image_336.png"), "-p", "What?", "-n", "2"},
                   {.environment = {"MOBILEVLM_MODEL_DIR=" + Path("nano-ldpv2")}});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("mini world"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("photos need a real checkpoint"), std::string::npos) << result.err;
}

// A JPEG turned by its EXIF orientation: `run` turns it, `trace` mirrors the reference, which does not.
TEST(Run, AppliesExifAndTraceDoesNot) {
  const TemporaryDirectory directory;
  const std::string plain = Path("preprocess/04_1280x720.jpg");
  using namespace std::string_literals;
  // APP1 "Exif", little-endian TIFF, one entry: orientation (0x0112), short, 6 = a quarter turn.
  const std::string app1 =
      "\xFF\xE1\x00\x22"
      "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"s;
  const std::string jpeg = Slurp(plain);
  const std::string turned = directory.Write("turned.jpg", jpeg.substr(0, 2) + app1 + jpeg.substr(2));

  const auto ids = [](const std::string& image) {
    return AskJson({"--image", image, "-p", "What?", "-n", "32", "--temp", "1"}).at("ids");
  };
  EXPECT_NE(ids(plain), ids(turned));
  const auto pixels = [&](const std::string& image) {
    EXPECT_EQ(RunWith("trace", {"--image", image, "-p", "What?", "-n", "1", "--out", directory.Path("t")})
                  .exit_code,
              0);
    return Slurp(directory.Path("t/pixels.npy"));
  };
  EXPECT_EQ(pixels(plain), pixels(turned));
}

// The model would fill its whole context, far more text than the pipe holds, so it cannot be done before the
// signal arrives.
TEST(Run, CtrlCEndsCleanly) {
  const ProcessResult result =
      RunWith("run", {"--image", Path("image_336.png"), "-p", "What?", "-n", "100000"}, {.interrupt = true});
  EXPECT_EQ(result.signal, 0);
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_TRUE(result.out.ends_with('\n'));
  EXPECT_EQ(result.error_lines(), 1u) << result.err;  // the timing line
  EXPECT_NE(result.err.find(" token"), std::string::npos) << result.err;
}

TEST(Run, EveryKernelTableGivesTheSameGreedyIds) {
  const std::vector<std::string> question{"--image", Path("image_336.png"), "-p", "What?", "-n", "12", "--kv",
                                          "f32"};
  const auto ids = AskJson(question).at("ids");
  for (const KernelTable* table : RunnableKernels()) {
    const std::string isa = fmt::format("MOBILEVLM_ISA={}", table->name);
    EXPECT_EQ(ids, AskJson(question, {.environment = {isa}}).at("ids")) << isa;
  }
}

TEST(Trace, WritesWhatTheReferenceHas) {
  for (const std::string name : {"nano-ldpv2", "nano80-ldp", "nano-mlp"}) {
    const TemporaryDirectory directory;
    const Expected expected = ReadExpected(name);
    const ProcessResult result = Process::Run(
        {"trace", "-m", Path(name + "/text.gguf"), "--mmproj", Path(name + "/mmproj.gguf"), "--image",
         Path("image_336.png"), "--ids-before", fmt::format("{}", fmt::join(expected.ids_before, ",")),
         "--ids-after", fmt::format("{}", fmt::join(expected.ids_after, ",")), "-n", "12", "--out",
         directory.Path("new/out")});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    for (const std::string file : {"vision_features.npy", "visual_tokens.npy", "prompt_logits.npy"}) {
      const auto found = ReadNpy(directory.Path("new/out/" + file));
      ASSERT_TRUE(found) << found.error().message;
      const NpyArray wanted = ReadGolden(name + "/" + file);
      EXPECT_EQ(found->shape, wanted.shape) << file;
      const Difference difference = Compare(found->values, wanted.values);
      EXPECT_TRUE(difference.Within(kTolerance)) << file << ": " << difference.ToString();
    }
    const auto pixels = ReadNpy(directory.Path("new/out/pixels.npy"));
    ASSERT_TRUE(pixels);
    EXPECT_EQ(pixels->shape, (std::vector<size_t>{336, 336, 3}));
    const nlohmann::json json = nlohmann::json::parse(Slurp(directory.Path("new/out/result.json")));
    EXPECT_EQ(json.at("greedy_ids"), nlohmann::json(expected.greedy_ids));
    EXPECT_EQ(json.at("ids_before"), nlohmann::json(expected.ids_before));
    EXPECT_EQ(json.at("ids_after"), nlohmann::json(expected.ids_after));
  }
}

TEST(Trace, PromptUsesTheV1Template) {
  const TemporaryDirectory directory;
  const ProcessResult result = RunWith(
      "trace", {"--image", Path("image_336.png"), "-p", "What?", "-n", "0", "--out", directory.Path("out")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const nlohmann::json json = nlohmann::json::parse(Slurp(directory.Path("out/result.json")));
  EXPECT_EQ(json.at("ids_before").at(0), 1);  // BOS, once
  EXPECT_EQ(std::count(json.at("ids_after").begin(), json.at("ids_after").end(), 1), 0);
  EXPECT_TRUE(json.at("greedy_ids").empty());
}

TEST(Chat, AnswersSeveralTurnsAndSurvivesMistakes) {
  const std::string input = "/image " + Path("image_336.png") +
                            "\nWhat is this?\n/image nowhere.png\nAnd this?\n" +
                            "/nonsense\nAgain?\n/reset\nWhat now?\n/quit\nNever asked\n";
  const ProcessResult result = RunWith("chat", {"-n", "4"}, {.input = input});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  size_t answers = 0;  // one timing line each
  for (size_t at = result.err.find("load "); at != std::string::npos; at = result.err.find("load ", at + 1))
    ++answers;
  EXPECT_EQ(answers, 3u) << result.err;
  EXPECT_NE(result.err.find("nowhere.png"), std::string::npos);
  EXPECT_NE(result.err.find("/nonsense"), std::string::npos);
  EXPECT_EQ(result.err.find("Never"), std::string::npos);
}

// Ctrl-C ends the answer, not the chat.
TEST(Chat, CtrlCEndsTheAnswerOnly) {
  const ProcessResult result =
      RunWith("chat", {"-n", "100000"}, {.input = "What?\n/nonsense\n", .interrupt = true});
  EXPECT_EQ(result.signal, 0);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const size_t timing = result.err.find("load ");
  EXPECT_NE(timing, std::string::npos) << result.err;
  EXPECT_LT(timing, result.err.find("/nonsense")) << result.err;  // it went on
}

// The picture of the first question is not read again, nor is the first turn, nor a picture shown once more.
TEST(Chat, AFollowUpReadsOnlyItsOwnPositions) {
  const std::string image = "/image " + Path("image_336.png");
  const ProcessResult result = RunWith(
      "chat", {"-n", "4"}, {.input = image + "\nWhat is this?\nAnd that?\n/reset\n" + image + "\nWhere?\n"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::vector<int> read;  // "prompt 190 in": positions that were computed
  for (size_t at = result.err.find("| prompt "); at != std::string::npos;
       at = result.err.find("| prompt ", at + 1)) {
    read.push_back(std::stoi(result.err.substr(at + 9)));
  }
  ASSERT_EQ(read.size(), 3u) << result.err;
  EXPECT_GT(read[0], 144);
  EXPECT_LT(read[1], 60);
  EXPECT_LT(read[2], 60);
}

TEST(Chat, EndOfInputEndsTheChat) {
  EXPECT_EQ(RunWith("chat", {"-n", "2"}).exit_code, 0);
  const ProcessResult result = RunWith("chat", {"-n", "2"}, {.input = "no end of line"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(result.out.ends_with('\n'));
}

TEST(Help, ShowsExamplesBeforeFlags) {
  for (const std::string command :
       {"run", "chat", "inspect", "tokenize", "trace", "convert", "world", "eval world"}) {
    std::vector<std::string> arguments;
    std::istringstream words(command);
    for (std::string word; words >> word;) arguments.push_back(word);
    arguments.push_back("--help");
    const ProcessResult result = Process::Run(arguments);
    EXPECT_EQ(result.exit_code, 0);
    const size_t examples = result.out.find("Examples:");
    const size_t options = result.out.find("Options:");
    EXPECT_LT(examples, options) << result.out;
    EXPECT_NE(options, std::string::npos);
  }
  const ProcessResult version = Process::Run({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_TRUE(version.out.starts_with("mobilevlm 0.")) << version.out;
}

}  // namespace
}  // namespace mobilevlm::golden
