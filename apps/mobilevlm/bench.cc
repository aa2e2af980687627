// mobilevlm bench: how fast a model is on this machine, and how fast it could be.
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>

#include "base/atomic_file.h"
#include "bench/roofline.h"
#include "bench/runner.h"
#include "bench/temporary_directory.h"
#include "commands.h"
#include "engine/model.h"
#include "synth/synth.h"

namespace mobilevlm::app {
namespace {

struct BenchFlags {
  bench::BenchOptions options;
  std::string size;
  std::string quant = "q4_0";
  std::string vision_type = "q8_0";
  std::string svg;
  bool json = false;
  bool no_processes = false;
  bool memory_child = false;
};

// --size: random weights in temporary files rather than in this process's memory, because files are what real
// models are: mapped, shared with the child processes, given back by the system under pressure. They are
// still in the page cache when they are read, so no disk is measured.
Result<bench::TemporaryDirectory> MakeModel(const BenchFlags& flags, LoadOptions& load) {
  SynthOptions synth;
  const auto size = FindModelSize(flags.size);
  if (!size) return Context(size.error(), "bench: --size");
  const auto text_type = ParseSynthType(flags.quant);
  if (!text_type) return Context(text_type.error(), "bench: --quant");
  const auto vision_type = ParseSynthType(flags.vision_type);
  if (!vision_type) return Context(vision_type.error(), "bench: --vision-type");
  synth.size = *size;
  synth.text_type = *text_type;
  synth.vision_type = *vision_type;
  synth.threads = load.threads;
  synth.progress = ShowMegabytes("making the model", "the model of random weights was not made");
  MVLM_ASSIGN(auto directory, bench::TemporaryDirectory::Create());
  synth.out_dir = directory.path();
  MVLM_TRY(SynthesizeModel(synth));
  load.text = directory.path() + "/text.gguf";
  load.mmproj = directory.path() + "/mmproj.gguf";
  return directory;
}

Status RunBenchCommand(BenchFlags& flags) {
  LoadOptions& load = flags.options.load;
  if (flags.memory_child) {
    MVLM_ASSIGN(const uint64_t bytes, bench::MeasurePeakMemory(load));
    fmt::print("{}\n", bytes);
    return {};
  }
  if (!flags.size.empty() && (!load.text.empty() || !load.mmproj.empty())) {
    return Fail("bench: --size makes a model, -m and --mmproj name one; wanted one of the two");
  }
  MVLM_TRY(engine::KernelsFor(load));  // before a model is made that they cannot run
  flags.options.latency.cancel = &InterruptFlag();
  flags.options.processes = !flags.no_processes;
  std::optional<bench::TemporaryDirectory> made;
  if (flags.size.empty()) {
    MVLM_TRY(UseBundledModelIfNone(load));
  } else {
    MVLM_ASSIGN(auto directory, MakeModel(flags, load));
    made.emplace(std::move(directory));
  }
  MVLM_ASSIGN(bench::Report report, bench::RunBench(flags.options));
  if (made) {  // the directory's name means nothing to a reader
    report.model.text_path = "random " + flags.size;
    report.model.mmproj_path = "random mmproj";
  }
  if (!flags.svg.empty()) MVLM_TRY(WriteFileAtomically(flags.svg, bench::RooflineSvg(report)));
  fmt::print("{}", flags.json ? bench::ToJson(report) + "\n" : bench::ToTable(report));
  return {};
}

}  // namespace

void AddBenchCommand(CLI::App& app, Status& status) {
  CLI::App* command = app.add_subcommand(
      "bench",
      "Measure a model on this machine, and the machine\n\n"
      "Examples:\n"
      "  mobilevlm bench -m text.gguf --mmproj mmproj.gguf\n"
      "  mobilevlm bench --size 1.7b --quant q4_0            (no download: random weights)\n"
      "  mobilevlm bench --size 3b --quant q8_0 --json --svg roofline.svg\n\n"
      "Every speed comes with the share of what the machine can do at most: int8 or fp32 arithmetic for the\n"
      "picture and the prompt, memory bandwidth for decoding. Close other programs first.");
  const auto flags = std::make_shared<BenchFlags>();
  bench::LatencyOptions& latency = flags->options.latency;
  AddModelFlags(*command, flags->options.load);
  command->add_option("--size", flags->size,
                      "Instead of -m and --mmproj: random weights of 1.7b, 3b, 7b or mini, made in temporary "
                      "files that are removed");
  command
      ->add_option("--quant", flags->quant,
                   "Matrices of the text model that --size makes: " + SynthTypeNames())
      ->capture_default_str();
  command
      ->add_option("--vision-type", flags->vision_type,
                   "Matrices of the mmproj that --size makes: the same types")
      ->capture_default_str();
  command->add_option("--repeats", latency.repeats, "How often each step is measured")
      ->check(WholeNumber(1, 1000))
      ->capture_default_str();
  command
      ->add_option("--depths", latency.depths,
                   "Further positions to decode at, as far as the context reaches (0: none)")
      ->delimiter(',')
      ->capture_default_str();
  command->add_flag("--no-processes", flags->no_processes,
                    "Leave out what needs processes of their own: peak memory and time to the first token");
  command->add_flag("--json", flags->json, "One JSON object instead of a table");
  command->add_option("--svg", flags->svg, "Also write a roofline picture to this file");
  command->add_flag(bench::kMemoryChildFlag, flags->memory_child)->group("");
  command->callback([flags, &status] { status = RunBenchCommand(*flags); });
}

}  // namespace mobilevlm::app
