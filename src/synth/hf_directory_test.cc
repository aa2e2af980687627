// The official layouts, read back by the readers of src/checkpoint and, where Python is installed, by its
// zipfile and pickle.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/read_file.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/torch_file.h"
#include "schema/read_config.h"
#include "synth/hf_directory_writer.h"
#include "synth/synth.h"
#include "synth/torch_writer.h"
#include "synth/vocabulary.h"
#include "synth/zip_writer.h"
#include "text/sentencepiece_writer.h"

namespace mobilevlm {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class HfDirectoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    directory_ = fs::path(::testing::TempDir()) / fmt::format("mobilevlm_hf_{}", info->name());
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::string Path(const std::string& name) const { return (directory_ / name).string(); }

  SynthOptions Mini(SynthLayout layout, int shards, const std::string& folder) const {
    SynthOptions options;
    options.size = FindModelSize("mini").value();
    options.layout = layout;
    options.shards = shards;
    options.text_type = DType::kBF16;
    options.threads = 1;
    options.out_dir = Path(folder);
    return options;
  }

  fs::path directory_;
};

// Name -> shape and bytes.
using Contents = std::map<std::string, std::pair<std::vector<uint64_t>, std::string>>;

template <class File>
void Collect(const File& file, Contents& contents) {
  for (const NamedTensor& tensor : file.tensors()) {
    EXPECT_EQ(tensor.type, DType::kBF16);
    const std::string bytes(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size());
    EXPECT_TRUE(contents.emplace(tensor.name, std::pair(tensor.shape, bytes)).second) << tensor.name;
  }
}

Contents ReadWeights(const std::string& directory) {
  Contents contents;
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string path = entry.path().string();
    if (path.ends_with(".bin")) {
      const auto file = TorchFile::Open(path);
      EXPECT_TRUE(file) << file.error().message;
      if (file) Collect(*file, contents);
    } else if (path.ends_with(".safetensors")) {
      const auto file = SafetensorsFile::Open(path);
      EXPECT_TRUE(file) << file.error().message;
      if (file) Collect(*file, contents);
    }
  }
  return contents;
}

TEST_F(HfDirectoryTest, EveryLayoutHoldsTheSameModel) {
  Contents first;
  for (const SynthLayout layout : {SynthLayout::kHfBin, SynthLayout::kHfSafetensors}) {
    for (const int shards : {1, 2}) {
      const SynthOptions options =
          Mini(layout, shards, fmt::format("{}_{}", static_cast<int>(layout), shards));
      const Status status = SynthesizeModel(options);
      ASSERT_TRUE(status) << status.error().message;
      const Contents contents = ReadWeights(options.out_dir);
      if (first.empty()) first = contents;
      EXPECT_TRUE(contents == first);

      const auto specs = OfficialTensors(options.size);
      ASSERT_EQ(contents.size(), specs.size());
      for (const TensorSpec& spec : specs) {
        ASSERT_TRUE(contents.contains(spec.hf_name)) << spec.hf_name;
        EXPECT_EQ(contents.at(spec.hf_name).first, spec.shape) << spec.hf_name;
      }
      const bool torch = layout == SynthLayout::kHfBin;
      const std::string index =
          options.out_dir + (torch ? "/pytorch_model.bin.index.json" : "/model.safetensors.index.json");
      EXPECT_EQ(fs::exists(index), shards == 2);
      if (shards == 1) continue;
      const auto json = nlohmann::json::parse(ReadFile(index, 1 << 20).value());
      uint64_t bytes = 0;
      std::set<std::string> files;
      for (const auto& [name, tensor] : contents) {
        bytes += tensor.second.size();
        files.insert(json.at("weight_map").at(name));
      }
      EXPECT_EQ(json.at("metadata").at("total_size"), bytes);
      EXPECT_EQ(json.at("weight_map").size(), contents.size());
      ASSERT_EQ(files.size(), 2u);
      EXPECT_EQ(*files.begin(),
                torch ? "pytorch_model-00001-of-00002.bin" : "model-00001-of-00002.safetensors");
      for (const std::string& file : files) EXPECT_TRUE(fs::exists(options.out_dir + "/" + file));
    }
  }
}

TEST_F(HfDirectoryTest, ConfigAndVocabularyAreRead) {
  for (const ProjectorType projector : {ProjectorType::kLdp, ProjectorType::kLdpV2, ProjectorType::kMlp}) {
    SynthOptions options = Mini(SynthLayout::kHfSafetensors, 1, "out");
    options.size.projector_type = projector;
    ASSERT_TRUE(SynthesizeModel(options));
    const auto config = ParseHfConfig(ReadFile(Path("out/config.json"), 1 << 20).value(), "config.json");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->llm.hidden, options.size.llm.hidden);
    EXPECT_EQ(config->llm.rms_eps, options.size.llm.rms_eps);
    EXPECT_EQ(config->projector.type, projector);
    const auto vocab = ParseSentencePieceModel(ReadFile(Path("out/tokenizer.model"), 1 << 24).value());
    ASSERT_TRUE(vocab) << vocab.error().message;
    const TokenizerVocab wanted = SyntheticVocabulary(options.size.llm.vocab);
    EXPECT_EQ(vocab->pieces, wanted.pieces);
    EXPECT_EQ(vocab->scores, wanted.scores);
    EXPECT_EQ(vocab->types, wanted.types);
    EXPECT_TRUE(vocab->add_dummy_prefix);
  }
}

// The numbers of the official repositories: parameters of the parts, sizes of the files to 0.1 %.
TEST(OfficialLayout, SizesAreThoseOfTheOfficialFiles) {
  const auto bytes = [](std::string_view name, ProjectorType projector) {
    ModelSize size = FindModelSize(name).value();
    size.projector_type = projector;
    uint64_t sum = 0;
    for (const TensorSpec& spec : OfficialTensors(size)) {
      uint64_t elements = 1;
      for (const uint64_t extent : spec.shape) elements *= extent;
      sum += 2 * elements;
    }
    return sum;
  };
  EXPECT_EQ(bytes("1.7b", ProjectorType::kLdpV2), 2u * (1364297728 + 303507456 + 6316032));
  EXPECT_EQ(bytes("1.7b", ProjectorType::kLdp), 2u * (1364297728 + 303507456 + 18936832));
  EXPECT_EQ(bytes("3b", ProjectorType::kLdpV2), 2u * (2701560320 + 303507456 + 9205760));
  // And 64 rotary frequencies of 32 layers.
  EXPECT_EQ(bytes("7b", ProjectorType::kLdpV2), 2u * (6738415616 + 303507456 + 21020672 + 64 * 32));
}

TEST(OfficialLayout, TheConfigNamesTheTowerAndDoesNotDescribeIt) {
  for (const char* name : {"1.7b", "3b", "7b"}) {
    const auto json =
        nlohmann::json::parse(OfficialConfig(FindModelSize(name).value(), DType::kBF16), nullptr, false);
    EXPECT_EQ(json.at("mm_vision_tower"), "openai/clip-vit-large-patch14-336");
    EXPECT_FALSE(json.contains("vision_config")) << name;
    EXPECT_EQ(json.at("mm_vision_select_layer"), -2);
    EXPECT_EQ(json.at("torch_dtype"), "bfloat16");
    EXPECT_EQ(json.contains("n_head"), std::string_view(name) == "3b");
  }
  ModelSize v1 = FindModelSize("1.7b").value();
  v1.projector_type = ProjectorType::kLdp;
  EXPECT_EQ(nlohmann::json::parse(OfficialConfig(v1, DType::kF16)).at("mm_projector_type"), "ldpnet");
}

TEST_F(HfDirectoryTest, QuantisedTypesAreRefused) {
  SynthOptions options = Mini(SynthLayout::kHfBin, 1, "out");
  options.text_type = DType::kQ8_0;
  const Status status = SynthesizeModel(options);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "a Hugging Face directory has no Q8_0: wanted f32, f16 or bf16");
  EXPECT_FALSE(fs::exists(options.out_dir));
}

StreamedTensor Tensor(const std::string& name, DType type, std::vector<uint64_t> shape) {
  uint64_t bytes = GetDTypeInfo(type).block_bytes;
  for (const uint64_t extent : shape) bytes *= extent;
  return {name, type, std::move(shape), [bytes](const StreamedTensor::ByteSink& sink) {
            const std::vector<std::byte> data(bytes, std::byte{7});
            return sink(data);
          }};
}

// Against Python: its zipfile checks every checksum, its pickle gives the same bytes for the same objects.
TEST_F(HfDirectoryTest, PythonReadsWhatItWouldHaveWritten) {
  if (std::system("python3 -c 'import pickle, zipfile' 2> /dev/null") != 0) GTEST_SKIP() << "no python3 here";
  std::vector<StreamedTensor> tensors{Tensor("scalar", DType::kF32, {}), Tensor("vector", DType::kF16, {300}),
                                      Tensor("matrix", DType::kBF16, {70000, 3}),
                                      Tensor("conv", DType::kF16, {8, 1, 3, 3})};
  for (int i = 0; i < 1100; ++i) tensors.push_back(Tensor(fmt::format("t{}", i), DType::kBF16, {2, 3, 1}));
  ASSERT_TRUE(WriteTorchFile(Path("x.bin"), tensors));
  const std::string script = MOBILEVLM_SOURCE_DIR "/src/synth/check_torch_file.py";
  EXPECT_EQ(std::system(fmt::format("python3 {} {}", script, Path("x.bin")).c_str()), 0);
  const auto file = TorchFile::Open(Path("x.bin"));
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->tensors().size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(file->tensors()[i].name, tensors[i].name);
    EXPECT_EQ(file->tensors()[i].shape, tensors[i].shape);
    EXPECT_EQ(file->tensors()[i].type, tensors[i].type);
  }
}

TEST_F(HfDirectoryTest, AStreamThatFailsLeavesNoFile) {
  StreamedTensor tensor = Tensor("w", DType::kF16, {4});
  tensor.stream = [](const StreamedTensor::ByteSink&) -> Status { return Fail("full"); };
  const Status status = WriteTorchFile(Path("x.bin"), std::vector{tensor});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "full");
  EXPECT_TRUE(fs::is_empty(directory_));
}

}  // namespace
}  // namespace mobilevlm
