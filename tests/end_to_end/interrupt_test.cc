// Ctrl-C while a model of random weights or a smaller file is being made: what is temporary or half done goes
// away.
#include <gtest/gtest.h>

#include <filesystem>

#include "files.h"
#include "golden.h"
#include "process.h"

namespace mobilevlm::golden {
namespace {

namespace fs = std::filesystem;

class Interrupt : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directory(Temporary()); }
  std::string Temporary() const { return directory_.Path("tmp"); }

  // The signal comes with the first bytes below `watched`.
  ProcessResult Run(const std::vector<std::string>& arguments, const std::string& watched) const {
    return Process::Run(arguments, {.environment = {"TMPDIR=" + Temporary()}, .interrupt_when = watched});
  }
  static void ExpectInterrupted(const ProcessResult& result, const std::string& words) {
    EXPECT_EQ(result.signal, 0);
    EXPECT_EQ(result.exit_code, 130) << result.err;
    EXPECT_NE(result.err.find(words), std::string::npos) << result.err;
  }

  TemporaryDirectory directory_;
};

TEST_F(Interrupt, SynthLeavesNoPartialFile) {
  for (const std::string layout : {"gguf", "hf-bin"}) {
    const std::string out = directory_.Path(layout);
    const ProcessResult result =
        Run({"synth", "--size", "7b", "--layout", layout, "--threads", "1", "-o", out}, out);
    ExpectInterrupted(result, "interrupted: the file in the making was not written to " + out);
    EXPECT_TRUE(fs::is_empty(out));
  }
}

TEST_F(Interrupt, BenchEndsWhileItMakesItsModel) {
  const ProcessResult result = Run({"bench", "--size", "7b", "--threads", "1"}, Temporary());
  ExpectInterrupted(result, "interrupted: the model of random weights was not made");
  EXPECT_TRUE(fs::is_empty(Temporary()));
}

#if defined(MOBILEVLM_WORLD)
TEST_F(Interrupt, ExperimentsRemoveWhatTheyMade) {
  const ProcessResult latency =
      Run({"experiment", "latency", "--sizes", "7b", "--out", directory_.Path("latency")}, Temporary());
  ExpectInterrupted(latency, "interrupted: the model of random weights was not made");
  EXPECT_TRUE(fs::is_empty(Temporary()));
  if (kEmulated) GTEST_SKIP() << "quantisation starts its own executable, which needs the emulator again";
  const ProcessResult quantisation = Run(
      {"experiment", "quantisation", "--formats", "q8_0", "--per-kind", "1", "--out", directory_.Path("q")},
      Temporary());
  ExpectInterrupted(quantisation, "interrupted");
  EXPECT_TRUE(fs::is_empty(Temporary()));
}
#endif

}  // namespace
}  // namespace mobilevlm::golden
