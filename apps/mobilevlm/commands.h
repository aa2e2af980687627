// The subcommands of `mobilevlm`, one file each, and the little they share.
//
// Every Add...Command registers its flags on `app` and a callback that does the work and stores how it
// ended in `status`; main.cc prints an Error as one line and exits with 2. A description is one line, an
// empty line, and examples: --help shows them first, the list of subcommands only the line.
#pragma once

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "command_line.h"
#include "mobilevlm/mobilevlm.h"

namespace mobilevlm::app {

void AddRunCommand(CLI::App& app, Status& status);
void AddChatCommand(CLI::App& app, Status& status);
void AddServeCommand(CLI::App& app, Status& status);
void AddInspectCommand(CLI::App& app, Status& status);
void AddTokenizeCommand(CLI::App& app, Status& status);
void AddTraceCommand(CLI::App& app, Status& status);
void AddConvertCommand(CLI::App& app, Status& status);
void AddSynthCommand(CLI::App& app, Status& status);
void AddBenchCommand(CLI::App& app, Status& status);
void AddImatrixCommand(CLI::App& app, Status& status);
void AddQuantizeCommand(CLI::App& app, Status& status);
void AddTrainCommand(CLI::App& app, Status& status);
void AddWorldCommand(CLI::App& app, Status& status);
void AddEvalCommand(CLI::App& app, Status& status);
void AddEvalWorldCommand(CLI::App& eval, Status& status);      // with the mini world
void AddEvalMiniatureCommand(CLI::App& eval, Status& status);  // with the mini world
void AddExperimentCommand(CLI::App& app, Status& status);      // with the mini world

// -m, --mmproj, --threads, --ctx, --kv: which model, and how it is loaded.
void AddModelFlags(CLI::App& command, LoadOptions& load);

// --temp, --top-k, ..., -n, --stop: how an answer is generated.
void AddGenerateFlags(CLI::App& command, GenerateOptions& generate);

// --template, --system, --image-mode.
struct PromptFlags {
  SessionOptions session;
  ImageFit fit = ImageFit::kPad;
};
void AddImageModeFlag(CLI::App& command, ImageFit& fit);
void AddPromptFlags(CLI::App& command, PromptFlags& prompt);

// Without -m and --mmproj: the bundled mini model, found in $MOBILEVLM_MODEL_DIR, in the source tree around
// the executable, or in ../share/mobilevlm/mini; says so, and what it knows, on stderr. One of the two flags
// alone is an Error.
Status UseBundledModelIfNone(LoadOptions& load);

// "load 0.1 s, 1.4 GiB | image 0.3 s | prompt 190 in 0.4 s | 12 tokens, 30.1 tokens/s", without the end
// of line; the bytes are what the model needs with one conversation.
std::string TimingLine(const ModelInfo& model, const Stats& stats);

// Becomes true at Ctrl-C. The first call installs the handler; a second Ctrl-C before anyone has cleared the
// flag ends the process at once, so that nothing can hang.
std::atomic<bool>& InterruptFlag();
// Whether the flag is set; does not install the handler.
bool Interrupted();

// For work that reports how far it is: a line of progress in whole megabytes, and the Error "interrupted:
// CONSEQUENCE" after Ctrl-C. Installs the handler, so it is made before anything temporary is.
std::function<Status(uint64_t done, uint64_t total)> ShowMegabytes(const std::string& label,
                                                                   const std::string& consequence);

}  // namespace mobilevlm::app
