#include "checkpoint/weight_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/atomic_file.h"

namespace mobilevlm {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class WeightFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    directory_ = fs::path(::testing::TempDir()) / fmt::format("mobilevlm_weights_{}", info->name());
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }
  std::string Path(const std::string& name) const { return (directory_ / name).string(); }

  // One number under every name.
  void WriteFile(const std::string& file, const std::vector<std::string>& names) const {
    std::vector<NamedTensor> tensors;
    const float value = static_cast<float>(file.size());
    for (const std::string& name : names) {
      tensors.push_back({name, DType::kF32, {1}, std::as_bytes(std::span(&value, 1))});
    }
    ASSERT_TRUE(WriteSafetensors(Path(file), tensors));
  }
  void WriteIndex(const std::string& map) const {
    ASSERT_TRUE(WriteFileAtomically(Path("model.safetensors.index.json"),
                                    fmt::format(R"({{"metadata": {{}}, "weight_map": {}}})", map)));
  }
  std::string Error() const {
    const auto files = WeightFiles::Open(directory_.string());
    return files ? "" : files.error().message;
  }

  fs::path directory_;
};

TEST_F(WeightFilesTest, ShardsAreOneModel) {
  WriteFile("model-00001-of-00002.safetensors", {"a", "b"});
  WriteFile("model-00002-of-00002.safetensors", {"c"});
  WriteIndex(R"({"a": "model-00001-of-00002.safetensors", "b": "model-00001-of-00002.safetensors",
                 "c": "model-00002-of-00002.safetensors"})");
  const auto files = WeightFiles::Open(directory_.string());
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->tensors().size(), 3u);
  EXPECT_THAT(files->FileOf(*files->Find("c")), HasSubstr("model-00002-of-00002.safetensors"));
  EXPECT_EQ(files->Find("d"), nullptr);
  EXPECT_THAT(files->Require("d").error().message, HasSubstr("tensor d is missing"));
  files->Release(*files->Find("a"));
  float value = 0;
  ReadElements(*files->Find("a"), 0, 1, &value);  // readable again
  EXPECT_EQ(value, 32);
}

TEST_F(WeightFilesTest, ASingleFileGoesFirst) {
  WriteFile("model.safetensors", {"a"});
  WriteIndex("{}");
  EXPECT_EQ(Error(), "");
}

TEST_F(WeightFilesTest, Nothing) {
  EXPECT_THAT(Error(), HasSubstr("there are no weights: wanted model.safetensors,"));
  EXPECT_THAT(Error(), HasSubstr("pytorch_model.bin.index.json"));
}

TEST_F(WeightFilesTest, Indexes) {
  WriteFile("x", {"a"});
  WriteFile("y", {"b"});
  WriteIndex(R"({"a": "x", "b": "y"})");
  EXPECT_EQ(Error(), "");
  WriteIndex(R"({"a": "x", "b": "z"})");
  EXPECT_THAT(Error(), HasSubstr("model.safetensors.index.json: names z, which is missing"));
  WriteIndex(R"({"a": "x", "b": "x"})");
  EXPECT_THAT(Error(), HasSubstr("says that tensor b is in x, and it is not"));
  WriteIndex(R"({"a": "y", "b": "x"})");
  EXPECT_THAT(Error(), HasSubstr("says that tensor b is in x, and it is not"));
  for (const std::string file : {R"("../x")", R"("/etc/passwd")", R"("a\\b")", R"("..")", R"("")", "7"}) {
    WriteIndex(fmt::format(R"({{"a": {}}})", file));
    EXPECT_THAT(Error(), HasSubstr("wanted the name of a file in this directory"));
  }
  WriteIndex("{}");
  EXPECT_THAT(Error(), HasSubstr("weight_map is empty"));
  WriteIndex("[]");
  EXPECT_THAT(Error(), HasSubstr("wanted a JSON object with weight_map"));
  WriteIndex(fmt::format(R"({{"a": {}{}}})", std::string(200'000, '['), std::string(200'000, ']')));
  EXPECT_THAT(Error(), HasSubstr("model.safetensors.index.json: wanted JSON nested at most 256 deep"));
}

TEST_F(WeightFilesTest, FewerFilesThanTheirNamesSay) {
  WriteFile("model-00001-of-00003.safetensors", {"a"});
  WriteFile("model-00002-of-00003.safetensors", {"b"});
  WriteIndex(R"({"a": "model-00001-of-00003.safetensors", "b": "model-00002-of-00003.safetensors"})");
  EXPECT_THAT(Error(), HasSubstr("names 2 files, but model-00001-of-00003.safetensors is one of 3"));
}

TEST_F(WeightFilesTest, TheSameTensorInTwoFiles) {
  WriteFile("x", {"a", "c"});
  WriteFile("y", {"b", "c"});
  WriteIndex(R"({"a": "x", "b": "y"})");
  EXPECT_THAT(Error(), HasSubstr("tensor c is also in"));
}

TEST_F(WeightFilesTest, ABinThatIsNoZip) {
  ASSERT_TRUE(WriteFileAtomically(Path("pytorch_model.bin"), "\x80\x02."));
  EXPECT_THAT(Error(), HasSubstr("zip format (PyTorch 1.6 or later)"));
}

}  // namespace
}  // namespace mobilevlm
