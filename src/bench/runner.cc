#include "bench/runner.h"

#include <charconv>

#include "base/atomic_file.h"
#include "base/read_file.h"
#include "bench/child_process.h"
#include "bench/sample_picture.h"
#include "bench/temporary_directory.h"
#include "engine/memory.h"

namespace mobilevlm::bench {
namespace {

// How a `run` child answers: one token, and nothing that an earlier run or a guess could have prepared. Flags
// that switch off reuse and speculation belong here; workload.h needs none, it drives the stages directly.
constexpr const char* kPlainRun[] = {"-n", "1"};
constexpr const char* kQuestion = "What is this?";

constexpr uint64_t kMostProcBytes = 16 << 20;

std::string CpuName() {
  const auto info = ReadFile("/proc/cpuinfo", kMostProcBytes);
  if (info) {
    for (const std::string_view key : {"model name", "Model"}) {
      const size_t at = info->find(key);
      if (at == std::string::npos) continue;
      const size_t begin = info->find(": ", at);
      const size_t end = info->find('\n', at);
      if (begin < end) return info->substr(begin + 2, end - begin - 2);
    }
  }
  return "unknown CPU";
}

std::vector<std::string> Command(const std::string& program, const char* subcommand,
                                 const LoadOptions& load) {
  std::vector<std::string> arguments{program, subcommand};
  for (std::string& argument : ModelArguments(load)) arguments.push_back(std::move(argument));
  return arguments;
}

Status MeasureProcesses(const BenchOptions& options, Report& report) {
  MVLM_ASSIGN(const std::string program, OwnExecutable());

  // First, so that both files are in the page cache for the other.
  std::vector<std::string> memory = Command(program, "bench", options.load);
  memory.push_back(kMemoryChildFlag);
  MVLM_ASSIGN(const ProcessResult child, RunProcess(memory));
  const char* const end = child.output.data() + child.output.size();
  if (std::from_chars(child.output.data(), end, report.peak_rss_bytes).ec != std::errc()) {
    return Fail("the memory child said {}", child.output);
  }

  MVLM_ASSIGN(const TemporaryDirectory directory, TemporaryDirectory::Create());
  const std::string picture = directory.path() + "/picture.jpg";
  MVLM_ASSIGN(const std::string jpeg, EncodeJpeg(SamplePicture()));
  MVLM_TRY(WriteFileAtomically(picture, jpeg));
  std::vector<std::string> run = Command(program, "run", options.load);
  run.insert(run.end(), {"--image", picture, "-p", kQuestion});
  run.insert(run.end(), std::begin(kPlainRun), std::end(kPlainRun));
  for (int i = 0; i < options.latency.repeats; ++i) {
    if (options.latency.cancel != nullptr && *options.latency.cancel) return Fail("interrupted");
    MVLM_ASSIGN(const ProcessResult answer, RunProcess(run));
    report.first_token.seconds.push_back(answer.first_output_s);
  }
  return {};
}

Status CountModel(const LoadOptions& load, Report& report) {
  MVLM_ASSIGN(const GgufFile text, GgufFile::Open(load.text));
  MVLM_ASSIGN(const GgufFile mmproj, GgufFile::Open(load.mmproj));
  report.text_type = costs::MainType(text.tensors());
  report.vision_type = costs::MainType(mmproj.tensors());
  report.file_bytes = text.file_bytes() + mmproj.file_bytes();
  report.encode_bytes = costs::TensorBytes(mmproj.tensors());
  report.decode_weight_bytes = costs::DecodeWeightBytes(text.tensors());
  return {};
}

void CountOperations(const Workload& workload, Report& report) {
  const engine::LoadedModel& model = workload.model();
  report.prompt_positions = workload.prompt_positions();
  report.encode_operations = costs::CountEncode(model.vision, model.projector);
  report.prompt_operations = costs::CountText(model.llm, 0, report.prompt_positions);
  report.decode_operations = costs::CountText(model.llm, report.prompt_positions + kDecodeTokens / 2, 1);
  report.kv_bytes_per_position = costs::KvBytesPerPosition(model.llm, model.kv_type);
}

}  // namespace

std::vector<std::string> ModelArguments(const LoadOptions& load) {
  return {"-m",        load.text,
          "--mmproj",  load.mmproj,
          "--threads", std::to_string(load.threads),
          "--ctx",     std::to_string(load.context),
          "--kv",      KvTypeName(load.kv)};
}

Result<Report> RunBench(const BenchOptions& options) {
  Report report;
  report.cpu = CpuName();
  MVLM_TRY(CountModel(options.load, report));
  MVLM_ASSIGN(const costs::Ceilings before, costs::MeasureCeilings(options.load.threads));
  if (options.processes) MVLM_TRY(MeasureProcesses(options, report));
  {
    MVLM_ASSIGN(Workload workload, Workload::Load(options.load));
    report.model = workload.info();
    CountOperations(workload, report);
    MVLM_ASSIGN(report.latency, MeasureLatency(workload, options.latency));
  }
  MVLM_ASSIGN(const costs::Ceilings after, costs::MeasureCeilings(options.load.threads));
  report.ceilings = costs::Ceilings::Best(before, after);
  return report;
}

Result<uint64_t> MeasurePeakMemory(const LoadOptions& load) {
  MVLM_ASSIGN(Workload workload, Workload::Load(load));
  workload.Preprocess();
  workload.RunTower();
  workload.RunProjector();
  workload.ReadPrompt();
  MVLM_TRY(workload.Decode(kDecodeTokens));
  MVLM_ASSIGN(const std::string status, ReadFile("/proc/self/status", kMostProcBytes));
  // The high-water mark of this program alone; getrusage's begins with that of the process it came from.
  const uint64_t peak = engine::ParseKilobyteLine(status, "VmHWM:");
  if (peak == 0) return Fail("/proc/self/status has no VmHWM line");
  return peak;
}

}  // namespace mobilevlm::bench
