// The trainer's torch modules and the engine are written apart; on the same weights they must agree.
//
// The path under test: modules -> HF directory (train/export_hf) -> GGUF pair (convert) -> engine.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/read_file.h"
#include "convert/convert.h"
#include "engine/runtime.h"
#include "engine/trace.h"
#include "image/preprocess.h"
#include "schema/read_config.h"
#include "schema/tensors.h"
#include "tensor/dequantize.h"
#include "train/adapter.h"
#include "train/checkpoint.h"
#include "train/export_hf.h"
#include "train/mini_config.h"
#include "train/modules/mobilevlm.h"
#include "train/recipe/read_recipe.h"
#include "train/run.h"
#include "train/runlog/run_log.h"
#include "train/start_model.h"
#include "world/dataset.h"

namespace mobilevlm {
namespace {

namespace fs = std::filesystem;
using train::MobileVlm;
using train::MobileVlmConfig;

const std::string kSource = MOBILEVLM_SOURCE_DIR;

// A picture that is not square and not of the model's size.
Image Pattern(int width, int height) {
  Image picture(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      uint8_t* pixel = picture.at(x, y);
      pixel[0] = static_cast<uint8_t>(128 + 120 * std::sin(0.11 * x + 0.03 * y));
      pixel[1] = static_cast<uint8_t>((x * y) % 256);
      pixel[2] = static_cast<uint8_t>((x / 9 + y / 7) % 2 * 255);
    }
  }
  return picture;
}

double Largest(const torch::Tensor& a, const std::vector<float>& b) {
  const torch::Tensor flat = a.contiguous().view({-1});
  MVLM_CHECK(flat.numel() == static_cast<int64_t>(b.size()), "{} and {} values", flat.numel(), b.size());
  return (flat - torch::tensor(b)).abs().max().item<double>();
}

// Runs one prompt through both and compares all three outputs.
void ExpectAgreement(MobileVlm& model, const ImageConfig& image, const std::string& text,
                     const std::string& mmproj) {
  auto runtime =
      engine::Runtime::Load({.text = text, .mmproj = mmproj, .kv = KvType::kF32, .float_activations = true});
  ASSERT_TRUE(runtime.has_value()) << runtime.error().message;
  engine::TraceInput input;
  input.picture = Pattern(150, 97);
  const Status prompted = engine::TracePrompt((*runtime)->model(), "Which shape is red?", input);
  ASSERT_TRUE(prompted.has_value()) << prompted.error().message;
  const auto trace = engine::Trace(**runtime, input);
  ASSERT_TRUE(trace.has_value()) << trace.error().message;

  const torch::NoGradGuard no_gradients;
  const int side = image.image_size;
  torch::Tensor pixels = torch::empty({1, 3, side, side});
  Normalise(ResizeForModel(input.picture, side, ImageMode::kPad, image.mean), image.mean, image.std,
            {pixels.data_ptr<float>(), static_cast<size_t>(pixels.numel())});
  train::MicroBatch batch;
  batch.features = model->tower()->forward(pixels);
  EXPECT_LT(Largest(batch.features, trace->vision_features), 1e-3);
  const torch::Tensor visual = model->Visual(batch);
  EXPECT_LT(Largest(visual, trace->visual_tokens), 1e-3);

  const int count = static_cast<int>(visual.size(0));
  train::TokenSample sample;
  sample.ids = input.ids_before;
  sample.image_starts = {static_cast<int>(sample.ids.size())};
  sample.ids.resize(sample.ids.size() + static_cast<size_t>(count), 0);
  sample.ids.insert(sample.ids.end(), input.ids_after.begin(), input.ids_after.end());
  sample.supervised.resize(sample.ids.size(), 0);
  const int64_t length = static_cast<int64_t>(sample.ids.size());
  const torch::Tensor padded =
      model->Logits(model->Hidden(train::Collate(std::vector{sample}, count), visual));
  const torch::Tensor logits = padded.slice(0, 0, length);
  EXPECT_LT(Largest(logits, trace->prompt_logits), 1e-3);
  EXPECT_GT(logits.std().item<double>(), 0.1) << "logits this flat prove nothing";
}

MobileVlm Model(const LlmConfig& llm, const train::ProjectorPlan& projector, const VisionConfig& vision) {
  MobileVlmConfig sizes;
  sizes.llm = llm;
  sizes.projector = projector;
  sizes.vision = vision;
  return MobileVlm(sizes);
}

// Each projector that has a GGUF form.
class FreshModel : public testing::TestWithParam<const char*> {};

TEST_P(FreshModel, IsTheSameToTorchAndEngineThroughExportAndConversion) {
  std::string pattern = (fs::temp_directory_path() / "mobilevlm-cross-XXXXXX").string();
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  const fs::path directory = pattern;
  const auto tokenizer = ReadFile(kSource + "/tests/golden/nano-ldpv2/hf/tokenizer.model", 1 << 20);
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;

  torch::manual_seed(11);
  train::Recipe recipe;
  recipe.mini.projector = GetParam();
  train::MiniConfig mini = train::MiniConfig::Of(recipe);
  mini.llm.vocab = 768;  // of that tokenizer
  MobileVlm model = Model(mini.llm, mini.projector(), mini.vision);
  {
    const torch::NoGradGuard no_gradients;
    // Fresh weights are so small that every block is nearly the identity; biases and norms are trivial.
    for (auto& item : model->named_parameters()) {
      if (item.value().dim() >= 2) item.value().mul_(2.5);
      if (item.value().dim() == 1) item.value().add_(torch::randn_like(item.value()) * 0.1);
    }
  }
  const Status written = train::WriteHfDirectory((directory / "hf").string(), model, *tokenizer, DType::kF32);
  ASSERT_TRUE(written.has_value()) << written.error().message;
  const auto converted = ConvertHfDirectory({.hf_dir = (directory / "hf").string(),
                                             .out_dir = (directory / "gguf").string(),
                                             .text_type = DType::kF32,
                                             .vision_type = DType::kF32});
  ASSERT_TRUE(converted.has_value()) << converted.error().message;
  ExpectAgreement(model, mini.image, (directory / "gguf/text.gguf").string(),
                  (directory / "gguf/mmproj.gguf").string());
  fs::remove_all(directory);
}

INSTANTIATE_TEST_SUITE_P(Projectors, FreshModel, testing::Values("ldpnetv2", "ldpnet", "mlp2x_gelu"),
                         [](const auto& test) { return std::string(test.param); });

TEST(TorchAndEngine, TrainerOnlyProjectorsAreNotExported) {
  train::Recipe recipe;
  recipe.mini.projector = "linear";
  const train::MiniConfig mini = train::MiniConfig::Of(recipe);
  const fs::path directory = fs::temp_directory_path() / "mobilevlm-cross-not-exported";
  const Status written = train::WriteHfDirectory(
      directory.string(), Model(mini.llm, mini.projector(), mini.vision), "", DType::kF32);
  ASSERT_FALSE(written.has_value());
  EXPECT_NE(written.error().message.find("the projector linear has no GGUF form"), std::string::npos);
  EXPECT_FALSE(fs::exists(directory));
}

// A file's tensors as float32 under their Hugging Face names, rows in Hugging Face's order.
void AddTensors(const GgufFile& file, const std::vector<TensorSpec>& specs, train::NamedTensors& tensors) {
  for (const TensorSpec& spec : specs) {
    const auto found = FindTensor(file, spec);
    ASSERT_TRUE(found.has_value()) << found.error().message;
    torch::Tensor tensor = torch::tensor(DequantizeTensor((*found)->type, (*found)->data));
    if (spec.transform == TensorTransform::kRopeRows) {
      const int64_t rows = static_cast<int64_t>(spec.shape[0]), heads = spec.heads;
      tensor = tensor.view({heads, rows / heads / 2, 2, -1}).transpose(1, 2).contiguous();
    }
    tensors[spec.hf_name] = tensor.view({-1});
  }
}

TEST(TorchAndEngine, AgreeOnTheBundledModel) {
  const std::string text = kSource + "/models/mini/text.gguf", mmproj = kSource + "/models/mini/mmproj.gguf";
  const auto text_file = GgufFile::Open(text), mmproj_file = GgufFile::Open(mmproj);
  ASSERT_TRUE(text_file.has_value()) << text_file.error().message;
  ASSERT_TRUE(mmproj_file.has_value()) << mmproj_file.error().message;
  const auto llm = ReadLlmConfig(*text_file);
  const auto vision = ReadVisionConfig(*mmproj_file);
  const auto projector = ReadProjectorConfig(*mmproj_file);
  const auto image = ReadImageConfig(*mmproj_file);
  const auto specs = MmprojTensors(*mmproj_file);
  ASSERT_TRUE(llm && vision && projector && image && specs);

  train::NamedTensors tensors;
  AddTensors(*text_file, LlmTensors(*llm), tensors);
  AddTensors(*mmproj_file, *specs, tensors);
  MobileVlm model = Model(*llm, *projector, *vision);
  for (const auto& item : model->named_parameters()) {
    ASSERT_TRUE(tensors.contains(item.key())) << item.key();
    tensors[item.key()] = tensors[item.key()].view(item.value().sizes());
  }
  const Status loaded = train::LoadModule(*model, tensors, "");
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  ExpectAgreement(model, *image, text, mmproj);
}

// Pictures of a user with answers of his own, in LLaVA's format: what the model was never taught to say.
void WriteOwnData(const fs::path& directory) {
  auto world = world::World::Create({.side = 144});
  ASSERT_TRUE(world.has_value()) << world.error().message;
  const auto written = world::ExportDataset(*world, {directory.string(), world::Split::kTrain, 4, 40});
  ASSERT_TRUE(written.has_value()) << written.error().message;
  const std::string path = (directory / "annotations.json").string();
  const auto text = ReadFile(path, 1 << 20);
  ASSERT_TRUE(text.has_value()) << text.error().message;
  auto samples = nlohmann::json::parse(*text);
  for (auto& sample : samples) {
    for (auto& turn : sample["conversations"]) {
      if (turn["from"] == "gpt") turn["value"] = "I see " + turn["value"].get<std::string>();
    }
  }
  std::ofstream(path) << samples.dump();
}

TEST(TorchAndEngine, OwnPicturesToALoraThatTheEngineRuns) {
  std::string pattern = (fs::temp_directory_path() / "mobilevlm-cross-XXXXXX").string();
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  const fs::path directory = pattern;
  const auto at = [&](const char* name) { return (directory / name).string(); };
  // Random weights: what matters is that torch and the engine agree on what training made of them.
  const auto tokenizer = ReadFile(kSource + "/tests/golden/nano-ldpv2/hf/tokenizer.model", 1 << 20);
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  train::MiniConfig mini = train::MiniConfig::Of({});
  mini.llm.vocab = 768;  // of that tokenizer
  torch::manual_seed(12);
  const Status base = train::WriteHfDirectory(at("base"), Model(mini.llm, mini.projector(), mini.vision),
                                              *tokenizer, DType::kF32);
  ASSERT_TRUE(base.has_value()) << base.error().message;
  WriteOwnData(directory / "data");

  const auto recipe = train::ReadRecipe(
      kSource + "/configs/lora.toml",
      {"model.start=" + at("base"), "model.frozen_weights=float32",
       "data.annotations=" + at("data/annotations.json"), "data.images=" + at("data"),
       "data.feature_cache=" + at("features"), "lora.rank=8", "lora.alpha=16", "optimizer.learning_rate=2e-3",
       "schedule.batch=8", "schedule.micro_batch=4", "schedule.epochs=4", "run.log_every=1",
       "run.validation_samples=4", "run.samples=2", "run.seed=5"});
  ASSERT_TRUE(recipe.has_value()) << recipe.error().message;
  const Status trained = train::RunRecipe(*recipe, at("run"), {});
  ASSERT_TRUE(trained.has_value()) << trained.error().message;
  const auto log = train::ReadLog(at("run/lora/log.jsonl"));
  ASSERT_TRUE(log.has_value()) << log.error().message;
  ASSERT_GE(log->size(), 16u);
  EXPECT_LT(log->back()["loss"].get<double>(), 0.9 * log->front()["loss"].get<double>());
  EXPECT_TRUE(log->back().contains("validation"));
  EXPECT_FALSE(fs::is_empty(at("features"))) << "the tower's features were to be kept";

  const auto converted = ConvertHfDirectory({.hf_dir = at("run/lora/latest"),
                                             .out_dir = at("gguf"),
                                             .text_type = DType::kF32,
                                             .vision_type = DType::kF32,
                                             .base = at("base")});
  ASSERT_TRUE(converted.has_value()) << converted.error().message;
  auto start = train::LoadStartModel(*recipe);
  ASSERT_TRUE(start.has_value()) << start.error().message;
  const auto adapter = train::ReadTensors(at("run/lora/latest/") + train::kAdapterFile);
  ASSERT_TRUE(adapter.has_value()) << adapter.error().message;
  const Status loaded =
      train::LoadModule(*start->model, adapter->tensors, train::kAdapterPrefix, /*trained_only=*/true);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  ExpectAgreement(start->model, start->config.image, at("gguf/text.gguf"), at("gguf/mmproj.gguf"));
  fs::remove_all(directory);
}

}  // namespace
}  // namespace mobilevlm
