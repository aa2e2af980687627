// mobilevlm imatrix: what `quantize --imatrix` weighs columns with.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <unordered_map>

#include "base/progress.h"
#include "commands.h"
#include "engine/runtime.h"
#include "engine/trace.h"
#include "ops/linear.h"
#include "quantize/importance.h"
#include "sample_pictures.h"

namespace mobilevlm::app {
namespace {

constexpr uint64_t kWorldSamples = 48;

struct ImatrixFlags {
  LoadOptions load;
  SampleSource samples;
  int tokens = 16;
  std::string out;
};

// Sums what every matrix of the two files is multiplied with.
class Collector : public LinearObserver {
 public:
  explicit Collector(const engine::LoadedModel& model) {
    for (const GgufFile* file : {&model.text_file, &model.mmproj_file}) {
      for (const GgufTensor& tensor : file->tensors()) names_.emplace(tensor.data.data(), tensor.name);
    }
  }

  void Observe(const LinearWeights& w, Mat<const float> x) override {
    const auto name = names_.find(w.data);
    if (name == names_.end()) return;
    importance_.Add(name->second, x.data(), x.rows(), x.cols(), x.stride());
  }

  const Importance& importance() const { return importance_; }

 private:
  std::unordered_map<const std::byte*, std::string> names_;
  Importance importance_;
};

Status RunImatrix(const ImatrixFlags& flags) {
  LoadOptions load = flags.load;
  MVLM_TRY(UseBundledModelIfNone(load));
  load.kv = KvType::kF32;
  MVLM_ASSIGN(const std::shared_ptr<engine::Runtime> runtime, engine::Runtime::Load(load));
  Collector collector(runtime->model());
  runtime->pipeline().SetObserver(&collector);
  InterruptFlag();
  uint32_t samples = 0;
  const Status walked = ForEachSample(flags.samples, [&](const SamplePicture& sample) -> Status {
    if (Interrupted()) return Fail("interrupted: {} was not written", flags.out);
    engine::TraceInput input;
    input.picture = sample.picture;
    input.tokens = flags.tokens;
    MVLM_TRY(engine::TracePrompt(runtime->model(), sample.question, input));
    MVLM_TRY(engine::Trace(*runtime, input));
    ++samples;
    return {};
  });
  runtime->pipeline().SetObserver(nullptr);
  MVLM_TRY(walked);
  const std::string dataset = !flags.samples.annotations.empty() ? flags.samples.annotations
                              : !flags.samples.images.empty()    ? "pictures"
                                                                 : "mini world";
  MVLM_TRY(collector.importance().Save(flags.out, dataset, samples));
  fmt::print("{}: {} matrices over {} pictures\n", flags.out, collector.importance().tensors(), samples);
  return {};
}

}  // namespace

void AddImatrixCommand(CLI::App& app, Status& status) {
  CLI::App* command = app.add_subcommand(
      "imatrix",
      "Measure which columns of a model matter, for `quantize --imatrix`\n\n"
      "Examples:\n"
      "  mobilevlm imatrix -m text-f16.gguf --mmproj mmproj-f16.gguf --data annotations.json -o "
      "imatrix.gguf\n"
      "  mobilevlm imatrix -m text-f16.gguf --mmproj mmproj-f16.gguf --image *.jpg -o imatrix.gguf\n"
      "  mobilevlm quantize text-f16.gguf text-q4_k_m.gguf q4_k_m --imatrix imatrix.gguf\n\n"
      "Answers questions about pictures with the unquantised model and sums the squares of what every "
      "matrix\n"
      "meets. Pictures like those that the model will see are best; without any, the mini world's are "
      "taken.\n"
      "One file serves the text model and the mmproj; the format is llama.cpp's.");
  const auto flags = std::make_shared<ImatrixFlags>();
  flags->samples.split = world::Split::kTrain;
  flags->samples.limit = kWorldSamples;
  AddModelFlags(*command, flags->load);
  command->add_option("--data", flags->samples.annotations,
                      "LLaVA annotations (JSON) with pictures beside it");
  command->add_option("--image", flags->samples.images, "Pictures, all asked the same question");
  command->add_option("-p,--prompt", flags->samples.question, "That question")->capture_default_str();
  command
      ->add_option("--limit", flags->samples.limit, "At most so many samples of --data or of the mini world")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option("-n,--tokens", flags->tokens, "Tokens of each answer that are read, too")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->add_option("-o,--out", flags->out, "The file to write")->required();
  command->callback([flags, &status] { status = RunImatrix(*flags); });
}

}  // namespace mobilevlm::app
