// mobilevlm train: hands over to mobilevlm-train, the program that links libtorch.
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "commands.h"

namespace mobilevlm::app {
namespace {

namespace fs = std::filesystem;

// Beside this executable, in the train build of the same source tree, or wherever PATH says.
std::string FindTrainer() {
  std::error_code error;
  const fs::path bin = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& place : {bin / "mobilevlm-train", bin / "../../train/bin/mobilevlm-train"}) {
    if (!error && fs::exists(place, error)) return place.lexically_normal().string();
  }
  return "mobilevlm-train";
}

Status RunTrainer(const std::vector<std::string>& arguments) {
  const std::string program = FindTrainer();
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execvp(program.c_str(), argv.data());
  return Fail(
      "train: cannot run {}: {} (scripts/setup train; cmake --preset train && cmake --build --preset train "
      "--target mobilevlm-train)",
      program, std::strerror(errno));
}

}  // namespace

void AddTrainCommand(CLI::App& app, Status& status) {
  CLI::App* command =
      app.add_subcommand("train",
                         "Train a model (runs mobilevlm-train)\n\n"
                         "Examples:\n"
                         "  mobilevlm train run lora --out runs/mine --set model.start=MobileVLM_V2-1.7B "
                         "\\\n      --set data.annotations=mine.json --set data.images=pictures\n"
                         "  mobilevlm train mini --out runs/mini\n"
                         "  mobilevlm train --help");
  command->prefix_command();
  command->set_help_flag();  // the trainer's own help answers
  command->callback([command, &status] { status = RunTrainer(command->remaining()); });
}

}  // namespace mobilevlm::app
