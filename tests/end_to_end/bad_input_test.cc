// Whatever is wrong with its input, the executable says so in one line on standard error and exits with 2.
#include <gtest/gtest.h>

#include "base/sanitizer.h"
#include "files.h"
#include "process.h"
#include "refusal.h"

namespace mobilevlm::golden {
namespace {

using ::testing::Test;

class BadInput : public Test {
 protected:
  static std::string Text() { return Path("nano-ldpv2/text.gguf"); }
  static std::string Mmproj() { return Path("nano-ldpv2/mmproj.gguf"); }
  static std::string Picture() { return Path("image_336.png"); }

  static ProcessResult Ask(const std::string& text, const std::string& mmproj, const std::string& image,
                           std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"run", "-m",    text, "--mmproj", mmproj,      "--image", image,
                                       "-p",  "What?", "-n", "2",        "--threads", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Process::Run(arguments);
  }

  TemporaryDirectory directory_;
};

TEST_F(BadInput, TheSameCommandWithGoodInputSucceeds) {
  const ProcessResult result = Ask(Text(), Mmproj(), Picture());
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_F(BadInput, MissingModelFile) {
  ExpectRefusal(Ask("nowhere.gguf", Mmproj(), Picture()), {"nowhere.gguf"});
  ExpectRefusal(Ask(Text(), "nowhere.gguf", Picture()), {"nowhere.gguf"});
}

TEST_F(BadInput, EmptyModelFile) {
  const std::string empty = directory_.Write("empty.gguf", "");
  ExpectRefusal(Ask(empty, Mmproj(), Picture()), {"empty.gguf"});
  ExpectRefusal(Ask(Text(), empty, Picture()), {"empty.gguf"});
}

TEST_F(BadInput, DirectoryForAModel) {
  ExpectRefusal(Ask(directory_.Path(""), Mmproj(), Picture()), {"regular file"});
}

TEST_F(BadInput, TruncatedModelFile) {
  const std::string text = Slurp(Text()), mmproj = Slurp(Mmproj());
  for (const size_t permille : {1, 10, 500, 999}) {
    const std::string a = directory_.Write("a.gguf", text.substr(0, text.size() * permille / 1000));
    const std::string b = directory_.Write("b.gguf", mmproj.substr(0, mmproj.size() * permille / 1000));
    ExpectRefusal(Ask(a, Mmproj(), Picture()), {"a.gguf"});
    ExpectRefusal(Ask(Text(), b, Picture()), {"b.gguf"});
  }
}

TEST_F(BadInput, OversizedTensor) {
  std::string bytes = Slurp(Text());
  GgufEntry(bytes, "token_embd.weight").SetFirstDimension(uint64_t{1} << 40);
  ExpectRefusal(Ask(directory_.Write("large.gguf", bytes), Mmproj(), Picture()),
                {"large.gguf", "token_embd"});
}

// 1,024 layers and a million positions: a cache that no machine holds. It is refused before the tensors are
// even looked at, let alone anything allocated.
TEST_F(BadInput, ModelTooLargeForTheMemory) {
  std::string bytes = Slurp(Text());
  SetGgufU32(bytes, "llama.block_count", 1024);
  SetGgufU32(bytes, "llama.context_length", 1 << 20);
  ExpectRefusal(Ask(directory_.Write("large.gguf", bytes), Mmproj(), Picture()),
                {"large.gguf", "needs", "key-value cache 256.0 GiB", "is available", "--ctx"});
}

// A picture within the limits, but not within what is left of the memory: 432 MB of pixels.
TEST_F(BadInput, PictureTooLargeForTheMemory) {
  if (kAddressSanitizer) GTEST_SKIP() << "AddressSanitizer itself maps terabytes";
  if (kEmulated) GTEST_SKIP() << "the limit would be the emulator's";
  const std::string large = directory_.Write("large.png", PngOfSize(Slurp(Picture()), 12000, 12000));
  ExpectRefusal(Process::Run({"run", "-m", Text(), "--mmproj", Mmproj(), "-p", "What?", "--image", large,
                              "--threads", "1"},
                             {.address_space = 400 << 20}),
                {"no more memory"});
}

TEST_F(BadInput, FileThatIsNoGguf) {
  ExpectRefusal(Ask(Picture(), Mmproj(), Picture()), {"GGUF"});
  ExpectRefusal(Ask(Text(), Picture(), Picture()), {"GGUF"});
}

TEST_F(BadInput, TensorOfWrongShape) {
  std::string bytes = Slurp(Text());
  GgufEntry(bytes, "blk.1.ffn_gate.weight").SwapDimensions();
  ExpectRefusal(Ask(directory_.Write("text.gguf", bytes), Mmproj(), Picture()),
                {"blk.1.ffn_gate.weight", "wanted shape [192, 64], found [64, 192]"});
  bytes = Slurp(Mmproj());
  GgufEntry(bytes, "v.blk.0.ffn_up.weight").SwapDimensions();
  ExpectRefusal(Ask(Text(), directory_.Write("mmproj.gguf", bytes), Picture()),
                {"v.blk.0.ffn_up.weight", "wanted"});
}

TEST_F(BadInput, TensorOfWrongType) {
  std::string bytes = Slurp(Text());
  GgufEntry(bytes, "output_norm.weight").SetType(1);  // F16
  ExpectRefusal(Ask(directory_.Write("text.gguf", bytes), Mmproj(), Picture()),
                {"output_norm.weight", "wanted type F32, found F16"});
  bytes = Slurp(Text());
  GgufEntry(bytes, "output.weight").SetType(77);
  ExpectRefusal(Ask(directory_.Write("text.gguf", bytes), Mmproj(), Picture()), {"output.weight", "77"});
}

TEST_F(BadInput, MissingTensor) {
  std::string bytes = Slurp(Mmproj());
  const size_t at = bytes.find("mm.model.mlp.2.weight");
  ASSERT_NE(at, std::string::npos);
  bytes[at] = 'x';
  ExpectRefusal(Ask(Text(), directory_.Write("mmproj.gguf", bytes), Picture()),
                {"mm.model.mlp.2.weight", "missing"});
}

TEST_F(BadInput, FilesThatDoNotFitEachOther) {
  ExpectRefusal(Ask(Text(), Path("nano80-ldp/mmproj.gguf"), Picture()), {"do not fit", "64", "160"});
}

TEST_F(BadInput, FilesSwapped) {
  ExpectRefusal(Ask(Mmproj(), Text(), Picture()), {"general.architecture", "\"llama\"", "\"clip\""});
}

TEST_F(BadInput, OneModelFileAlone) {
  ExpectRefusal(Process::Run({"run", "-m", Text(), "-p", "What?"}), {"--mmproj"});
  ExpectRefusal(Process::Run({"run", "--mmproj", Mmproj(), "-p", "What?"}), {"-m"});
}

TEST_F(BadInput, NoBundledModel) {
  const std::string variable = "MOBILEVLM_MODEL_DIR=" + directory_.Path("");
  ExpectRefusal(Process::Run({"run", "-p", "What?"}, {.environment = {variable}}), {"no model given"});
}

TEST_F(BadInput, PictureThatIsNone) {
  ExpectRefusal(Ask(Text(), Mmproj(), "nowhere.png"), {"nowhere.png"});
  ExpectRefusal(Ask(Text(), Mmproj(), Text()), {"text.gguf"});
  ExpectRefusal(Ask(Text(), Mmproj(), directory_.Write("empty.png", "")), {"empty.png"});
  ExpectRefusal(Ask(Text(), Mmproj(), "-"), {"standard input"});  // closed: no bytes
}

TEST_F(BadInput, PictureOfAnotherFormat) {
  const std::string box(
      "\0\0\0\x18"
      "ftyp",
      8);
  for (const auto& [bytes, format] : {std::pair{box + "heic", "HEIC"}, std::pair{box + "avif", "AVIF"},
                                      std::pair{std::string("GIF89a"), "GIF"}}) {
    const std::string picture = directory_.Write("other.jpg", bytes);
    ExpectRefusal(Ask(Text(), Mmproj(), picture), {"other.jpg", format, "convert it to JPEG, PNG or WebP"});
  }
}

TEST_F(BadInput, TruncatedPicture) {
  for (const std::string name : {"00_500x333.png", "04_1280x720.jpg", "09_700x699.webp"}) {
    const std::string bytes = Slurp(Path("preprocess/" + name));
    const std::string cut = directory_.Write(name, bytes.substr(0, bytes.size() / 2));
    ExpectRefusal(Ask(Text(), Mmproj(), cut), {name});
  }
}

TEST_F(BadInput, PictureWithoutPixels) {
  const std::string png = Slurp(Picture());
  ExpectRefusal(Ask(Text(), Mmproj(), directory_.Write("zero.png", PngOfSize(png, 0, 336))), {"zero.png"});
  ExpectRefusal(Ask(Text(), Mmproj(), directory_.Write("zero.png", PngOfSize(png, 336, 0))), {"zero.png"});
}

TEST_F(BadInput, PictureTooLarge) {
  const std::string large = directory_.Write("large.png", PngOfSize(Slurp(Picture()), 60000, 60000));
  ExpectRefusal(Ask(Text(), Mmproj(), large), {"large.png", "60000"});
}

TEST_F(BadInput, PromptLongerThanTheContext) {
  ExpectRefusal(Ask(Text(), Mmproj(), Picture(), {"--ctx", "100"}), {"positions", "context holds 100"});
  std::string words;
  for (int i = 0; i < 2000; ++i) words += "word ";
  ExpectRefusal(Process::Run({"run", "-m", Text(), "--mmproj", Mmproj(), "-p", words}),
                {"context holds 2048"});
}

TEST_F(BadInput, ContextBeyondTheModel) {
  ExpectRefusal(Ask(Text(), Mmproj(), Picture(), {"--ctx", "4096"}), {"4096", "2048"});
}

TEST_F(BadInput, MoreMarksThanPictures) {
  ExpectRefusal(Process::Run({"run", "-m", Text(), "--mmproj", Mmproj(), "-p", "What is <image>?"}),
                {"<image>"});
  ExpectRefusal(Process::Run({"run", "-m", Text(), "--mmproj", Mmproj(), "--image", Picture(), "-p",
                              "Is <image> like <image>?"}),
                {"<image>"});
}

TEST_F(BadInput, Flags) {
  ExpectRefusal(Ask(Text(), Mmproj(), Picture(), {"--no-such-flag"}), {"--no-such-flag"});
  ExpectRefusal(Ask(Text(), Mmproj(), Picture(), {"--temp", "-1"}), {"temperature"});
  ExpectRefusal(Ask(Text(), Mmproj(), Picture(), {"--temp", "warm"}), {"--temp", "warm"});
  ExpectRefusal(Ask(Text(), Mmproj(), Picture(), {"--top-p", "1.5"}), {"top-p"});
  ExpectRefusal(Ask(Text(), Mmproj(), Picture(), {"--kv", "f8"}), {"--kv", "f8"});
  ExpectRefusal(Ask(Text(), Mmproj(), Picture(), {"--template", "v9"}), {"--template", "v9"});
  ExpectRefusal(Ask(Text(), Mmproj(), Picture(), {"--image-mode", "stretch"}), {"--image-mode", "stretch"});
  ExpectRefusal(Ask(Text(), Mmproj(), Picture(), {"--min-p", "nan"}), {"min-p", "nan"});
  ExpectRefusal(Ask(Text(), Mmproj(), Picture(), {"--repeat-penalty", "0"}), {"repetition penalty"});
  ExpectRefusal(Ask(Text(), Mmproj(), Picture(), {"stray"}), {"stray"});
  ExpectRefusal(Process::Run({}), {"subcommand"});
  ExpectRefusal(Process::Run({"no-such-command"}), {"no-such-command"});
  ExpectRefusal(Process::Run({"run"}), {"-p", "question"});
}

// CLI11 alone would take -1 for 18446744073709551615, and anything beyond for the same.
TEST_F(BadInput, WholeNumbers) {
  const std::string most = "2147483647";
  for (const auto& [flag, value, limits] : {std::tuple{"--threads", "-3", std::string("0 to 1024")},
                                            {"--threads", "1025", "0 to 1024"},
                                            {"--ctx", "-5", "0 to " + most},
                                            {"--ctx", "3000000000", "0 to " + most},
                                            {"-n", "0", "1 to " + most},
                                            {"-n", "12abc", "1 to " + most},
                                            {"-n", "1.5", "1 to " + most},
                                            {"--top-k", "-3", "0 to " + most},
                                            {"--seed", "-1", "0 to 18446744073709551615"},
                                            {"--seed", "18446744073709551616", "0 to 18446744073709551615"},
                                            {"--seed", "", "0 to 18446744073709551615"}}) {
    // A flag may be given once, so the good values of Ask cannot stay.
    const ProcessResult result =
        Process::Run({"run", "-m", Text(), "--mmproj", Mmproj(), "-p", "What?", flag, value});
    ExpectRefusal(result, {"wanted a whole number from " + limits + ", found " + value});
  }
}

TEST_F(BadInput, UnknownIsa) {
  const ProcessResult result = Process::Run({"run", "-m", Text(), "--mmproj", Mmproj(), "-p", "What?"},
                                            {.environment = {"MOBILEVLM_ISA=z80"}});
  ExpectRefusal(result, {"z80", "generic"});
  // bench says so before it makes a model: it has no place for one here, and does not notice.
  ExpectRefusal(
      Process::Run({"bench", "--size", "1.7b"}, {.environment = {"MOBILEVLM_ISA=z80", "TMPDIR=/nowhere"}}),
      {"z80", "generic"});
}

// What one command refuses, the others refuse in the same way.
TEST_F(BadInput, EveryCommandThatReadsAModel) {
  const std::string cut = directory_.Write("cut.gguf", Slurp(Text()).substr(0, 1000));
  for (const auto& [file, word] : {std::pair{std::string("nowhere.gguf"), "nowhere.gguf"},
                                   {cut, "cut.gguf"},
                                   {Picture(), "image_336"}}) {
    ExpectRefusal(Process::Run({"chat", "-m", file, "--mmproj", Mmproj()}), {word});
#ifdef MOBILEVLM_WORLD
    ExpectRefusal(Process::Run({"eval", "world", "-m", file, "--mmproj", Mmproj()}), {word});
#endif
    ExpectRefusal(Process::Run({"inspect", file}), {word});
    ExpectRefusal(Process::Run({"tokenize", "-m", file, "What?"}), {word});
    ExpectRefusal(Process::Run({"trace", "-m", file, "--mmproj", Mmproj(), "--image", Picture(), "-p",
                                "What?", "--out", directory_.Path("out")}),
                  {word});
  }
}

TEST_F(BadInput, EveryCommandsFlags) {
  for (const std::string command : {"run", "chat", "inspect", "tokenize", "trace", "convert"}) {
    ExpectRefusal(Process::Run({command, "--no-such-flag"}), {});
  }
  ExpectRefusal(Process::Run({"inspect", Text(), "--tensor", "output.weight"}), {"--npy"});
  ExpectRefusal(Process::Run({"inspect", Text(), "--npy", "x.npy"}), {"--tensor"});
#ifdef MOBILEVLM_WORLD
  ExpectRefusal(Process::Run({"world", "--no-such-flag"}), {});
  ExpectRefusal(Process::Run({"eval", "--no-such-flag"}), {});
  ExpectRefusal(Process::Run({"world", "--side", "3", "--out", directory_.Path("w")}),
                {"--side", "24 to 4096"});
  ExpectRefusal(Process::Run({"world"}), {"--out", "--contact-sheet"});
  ExpectRefusal(Process::Run({"eval"}), {"subcommand"});
  ExpectRefusal(Process::Run({"eval", "world", "--per-kind", "0"}), {"--per-kind"});
#endif
}

TEST_F(BadInput, ChatPictures) {
  const std::vector<std::string> chat{"chat", "-m", Text(), "--mmproj", Mmproj(), "--image"};
  const auto with = [&](const std::string& image) {
    std::vector<std::string> arguments = chat;
    arguments.push_back(image);
    return Process::Run(arguments, {.input = "What?\n"});
  };
  ExpectRefusal(with("nowhere.png"), {"nowhere.png"});
  ExpectRefusal(with(Text()), {"text.gguf"});
  ExpectRefusal(with("-"), {"standard input"});
}

TEST_F(BadInput, Trace) {
  const auto trace = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{
        "trace", "-m", Text(), "--mmproj", Mmproj(), "--image", Picture(), "--out", directory_.Path("out")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Process::Run(arguments);
  };
  ExpectRefusal(trace({}), {"--ids-before"});
  ExpectRefusal(trace({"-p", "What?", "--ids-before", "1,2"}), {"--ids-before"});
  ExpectRefusal(trace({"--ids-before", "1,768"}), {"768"});
  ExpectRefusal(trace({"--ids-before", "1,-1"}), {"-1"});
  ExpectRefusal(trace({"-p", "What?", "-n", "5000"}), {"context"});
  const std::string file = directory_.Write("file", "");
  ExpectRefusal(trace({"-p", "What?", "--out", file + "/x"}), {"--out"});
}

}  // namespace
}  // namespace mobilevlm::golden
