// mobilevlm trace: every stage's output of one greedy run as .npy, to compare with PyTorch.
#include "engine/trace.h"

#include <memory>

#include "commands.h"
#include "engine/picture.h"

namespace mobilevlm::app {
namespace {

struct TraceFlags {
  LoadOptions load;
  std::string image;
  ImageFit fit = ImageFit::kPad;
  std::string prompt;
  std::vector<int> ids_before, ids_after;
  int tokens = 16;
  std::string out;
};

Status RunTrace(TraceFlags& flags) {
  if (flags.prompt.empty() == (flags.ids_before.empty() && flags.ids_after.empty())) {
    return Fail("trace: wanted either -p PROMPT or --ids-before and --ids-after");
  }
  MVLM_TRY(UseBundledModelIfNone(flags.load));
  flags.load.kv = KvType::kF32;
  flags.load.float_activations = true;
  MVLM_ASSIGN(const std::shared_ptr<engine::Runtime> runtime, engine::Runtime::Load(flags.load));

  // The reference does not turn pictures by EXIF, so neither do we here.
  Picture picture = Picture::FromFile(flags.image);
  picture.apply_exif = false;
  engine::TraceInput input;
  MVLM_ASSIGN(input.picture, engine::LoadPicture(picture));
  input.fit = flags.fit;
  input.ids_before = flags.ids_before;
  input.ids_after = flags.ids_after;
  input.tokens = flags.tokens;
  if (!flags.prompt.empty()) MVLM_TRY(engine::TracePrompt(runtime->model(), flags.prompt, input));

  MVLM_ASSIGN(const engine::TraceOutput output, engine::Trace(*runtime, input));
  return engine::WriteTrace(runtime->model(), input, output, flags.out);
}

}  // namespace

void AddTraceCommand(CLI::App& app, Status& status) {
  CLI::App* command = app.add_subcommand(
      "trace",
      "Write every stage's output as .npy, to compare with PyTorch\n\n"
      "Examples:\n"
      "  mobilevlm trace -m text.gguf --mmproj mmproj.gguf --image photo.png -p 'What is this?' -n 12 --out "
      "trace\n"
      "  mobilevlm trace -m text.gguf --mmproj mmproj.gguf --image photo.png \\\n"
      "      --ids-before 1,446,656 --ids-after 691,13,90 -n 12 --out trace\n\n"
      "Writes pixels.npy uint8 [S, S, 3], vision_features.npy [patches, d], visual_tokens.npy [tokens,\n"
      "hidden], prompt_logits.npy [before + visual + after, vocab] (float32) and result.json. Float\n"
      "activations and an f32 cache, exactly N greedy ids, EXIF ignored, -p in the v1 template.\n");
  const auto flags = std::make_shared<TraceFlags>();
  command->add_option("-m,--model", flags->load.text,
                      "Text model, GGUF (without it: the bundled mini model)");
  command->add_option("--mmproj", flags->load.mmproj, "Vision tower and projector, GGUF");
  command->add_option("--threads", flags->load.threads, "Threads (0: one per CPU)")
      ->check(WholeNumber(0, 1024));
  command->add_option("--image", flags->image, "The picture")->required();
  AddImageModeFlag(*command, flags->fit);
  command->add_option("-p,--prompt", flags->prompt, "A question, put into the v1 template");
  command->add_option("--ids-before", flags->ids_before, "Ids before the picture, as given")->delimiter(',');
  command->add_option("--ids-after", flags->ids_after, "Ids after the picture, as given")->delimiter(',');
  command->add_option("-n,--tokens", flags->tokens, "Greedy ids to generate, exactly")
      ->check(WholeNumber(0))
      ->capture_default_str();
  command->add_option("--out", flags->out, "Directory to write to")->required();
  command->callback([flags, &status] { status = RunTrace(*flags); });
}

}  // namespace mobilevlm::app
