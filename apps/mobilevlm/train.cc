// mobilevlm train: hands over to mobilevlm-train, the program that links libtorch.
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "commands.h"
#include "find_trainer.h"

namespace mobilevlm::app {
namespace {

Status RunTrainer(const std::vector<std::string>& arguments) {
  MVLM_ASSIGN(const std::string program, FindTrainer("train"));
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  return Fail("train: cannot run {}: {}", program, std::strerror(errno));
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
