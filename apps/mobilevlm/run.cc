// mobilevlm run: one question about one or more pictures, or a batch of them (batch.h).
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/read_file.h"
#include "batch.h"
#include "commands.h"
#include "memory_json.h"

namespace mobilevlm::app {
namespace {

constexpr uint64_t kLargestSchema = 1 << 20;

struct RunFlags {
  LoadOptions load;
  GenerateOptions generate;
  PromptFlags prompt;
  std::vector<std::string> images;
  std::string question;
  std::string batch, output, json_schema;
  bool json = false;
};

std::string ToJson(const ModelInfo& model, const Answer& answer) {
  const Stats& stats = answer.stats;
  const nlohmann::ordered_json json{
      {"answer", answer.text},
      {"ids", answer.ids},
      {"stop", StopReasonName(answer.stop)},
      {"model", {{"text", model.text_path}, {"mmproj", model.mmproj_path}, {"isa", model.isa}}},
      {"memory", MemoryJson(model.memory)},
      {"timing",
       {{"load_ms", model.load_ms},
        {"image_ms", stats.image_ms},
        {"prompt_ms", stats.prompt_ms},
        {"prompt_positions", stats.prompt_positions},
        {"reused_positions", stats.reused_positions},
        {"generate_ms", stats.generate_ms},
        {"generated", stats.generated},
        {"drafted", stats.drafted},
        {"accepted", stats.accepted},
        {"tokens_per_second", stats.tokens_per_second()}}},
  };
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Ctrl-C keeps what has been said: newline, timing line, and main.cc's exit code 130.
Status Run(RunFlags& flags) {
  MVLM_TRY(UseBundledModelIfNone(flags.load));
  MVLM_ASSIGN(const Model model, Model::Load(flags.load));
  MVLM_ASSIGN(Session session, model.NewSession(flags.prompt.session));
  std::vector<Picture> pictures;
  for (const std::string& path : flags.images) {
    pictures.push_back(Picture::FromFile(path));
    pictures.back().fit = flags.prompt.fit;
  }
  flags.generate.cancel = &InterruptFlag();

  const auto stream = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  MVLM_ASSIGN(const Answer answer, flags.json
                                       ? session.Ask(pictures, flags.question, flags.generate)
                                       : session.Ask(pictures, flags.question, flags.generate, stream));
  std::fputs(((flags.json ? ToJson(model.Describe(), answer) : "") + "\n").c_str(), stdout);
  std::fflush(stdout);
  if (answer.stop == StopReason::kContextFull) {
    fmt::print(stderr, "mobilevlm: the context of {} positions is full; the answer is cut short\n",
               model.Describe().context);
  }
  fmt::print(stderr, "{}\n", TimingLine(model.Describe(), answer.stats));
  return {};
}

Status RunOneOrMany(RunFlags& flags) {
  if (!flags.json_schema.empty()) {
    // The schema itself, or the file that holds it.
    const bool is_text = flags.json_schema.find('{') != std::string::npos;
    MVLM_ASSIGN(flags.generate.json_schema, is_text ? Result<std::string>(flags.json_schema)
                                                    : ReadFile(flags.json_schema, kLargestSchema));
  }
  if (!flags.batch.empty()) {
    if (flags.output.empty()) return Fail("--batch needs -o, the file for the answers");
    if (!flags.images.empty()) return Fail("--batch brings its own pictures; --image does not go with it");
    return RunBatch(
        {.input = flags.batch, .output = flags.output, .prompt = flags.question, .json = flags.json},
        flags.load, flags.prompt, flags.generate);
  }
  if (!flags.output.empty()) return Fail("-o is for --batch; a single answer goes to standard output");
  if (flags.question.empty()) return Fail("-p, the question, is missing");
  return Run(flags);
}

}  // namespace

void AddRunCommand(CLI::App& app, Status& status) {
  CLI::App* command = app.add_subcommand(
      "run",
      "Answer a question about pictures\n\n"
      "Examples:\n"
      "  mobilevlm run --image scene.png -p 'What is this?'\n"
      "  mobilevlm run -m text.gguf --mmproj mmproj.gguf --image photo.jpg -p 'Describe the picture.'\n"
      "  mobilevlm run --image a.png b.png -p 'Compare <image> with <image>.' --temp 0.2 --seed 7\n"
      "  cat photo.webp | mobilevlm run -m text.gguf --mmproj mmproj.gguf --image - -p 'Where?' --json\n"
      "  mobilevlm run --image a.png -p 'What is this?' --json-schema '{\"enum\": [\"yes\", \"no\"]}'\n"
      "  mobilevlm run --batch pictures/ -p 'What is this?' -o answers.jsonl\n"
      "  mobilevlm run --batch questions.jsonl -o answers.jsonl   lines: {\"image\": PATH, \"prompt\": "
      "TEXT}\n\n"
      "The answer streams to standard output, the timing goes to standard error. Exit code: 0, or 2 after\n"
      "an error, or 130 if Ctrl-C cut the answer short.\n\n"
      "A batch appends each answer as it comes. The same command again asks only what is missing, so it may "
      "be\n"
      "interrupted at any time. A picture that cannot be read gets a row with \"error\"; the exit code is "
      "then\n"
      "2, and the row counts as done until it is deleted.\n");
  const auto flags = std::make_shared<RunFlags>();
  AddModelFlags(*command, flags->load);
  command->add_option("--image", flags->images, "Picture files: JPEG, PNG, WebP; - reads standard input");
  command->add_option("-p,--prompt", flags->question, "The question; <image> marks where a picture goes");
  command->add_option("--batch", flags->batch,
                      "JSON lines or a directory of pictures: answer for all of them");
  command->add_option("-o,--output", flags->output, "JSON lines, appended: the answers of --batch");
  AddPromptFlags(*command, flags->prompt);
  AddGenerateFlags(*command, flags->generate);
  command->add_option("--json-schema", flags->json_schema,
                      "Answer in JSON that this JSON Schema allows; text or a file (docs/serving.md)");
  command->add_flag("--json", flags->json,
                    "One JSON object instead of streamed text; with --batch, the summary");
  command->callback([flags, &status] { status = RunOneOrMany(*flags); });
}

}  // namespace mobilevlm::app
