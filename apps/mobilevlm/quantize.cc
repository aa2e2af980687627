// mobilevlm quantize: a GGUF file into a smaller one.
#include "quantize/quantize.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "commands.h"
#include "compare_models.h"

namespace mobilevlm::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kComparedPictures = 6;  // of the mini world

struct QuantizeFlags {
  std::string in;
  std::string out;
  std::string type;
  std::vector<std::string> tensor_types;
  std::string imatrix;
  bool requantize = false;
  bool dry_run = false;
  bool json = false;
  int threads = 0;
  bool compare = false;
  CompareRequest comparison;
};

double Megabytes(uint64_t bytes) { return static_cast<double>(bytes) / 1e6; }

// The plan, and how it ended unless `errors` is empty (a dry run).
void PrintTable(const GgufFile& file, const QuantizePlan& plan, const std::vector<TensorError>& errors) {
  fmt::print("{:<36} {:<16} {:<5} {:<5} {:>9} {:>9}", "tensor", "shape", "from", "to", "MB", "new MB");
  fmt::print("{}\n", errors.empty() ? "" : fmt::format(" {:>10} {:>9}", "rms error", "relative"));
  uint64_t before = 0;
  uint64_t elements = 0;
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    const TensorPlan& planned = plan.tensors[i];
    const GgufTensor& tensor = *planned.tensor;
    before += tensor.data.size();
    elements += tensor.elements();
    fmt::print("{:<36} {:<16} {:<5} {:<5} {:>9.3f} {:>9.3f}", tensor.name, ShapeText(tensor.shape),
               DTypeName(tensor.type), DTypeName(planned.type), Megabytes(tensor.data.size()),
               Megabytes(planned.bytes()));
    if (!errors.empty() && planned.changes()) {
      fmt::print(" {:>10.3e} {:>9.5f}", errors[i].rms, errors[i].relative);
    }
    fmt::print("{}\n", planned.note.empty() ? "" : "  " + planned.note);
  }
  fmt::print("{}: {} tensors, {:.1f} MB -> {:.1f} MB, {:.2f} bits per weight\n", file.path(),
             plan.tensors.size(), Megabytes(before), Megabytes(plan.bytes()),
             8.0 * static_cast<double>(plan.bytes()) / static_cast<double>(elements));
}

Json PlanJson(const GgufFile& file, const QuantizePlan& plan, const std::vector<TensorError>& errors) {
  Json json = {{"file", file.path()}, {"bytes", file.file_bytes()}, {"new_tensor_bytes", plan.bytes()}};
  json["tensors"] = Json::array();
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    const TensorPlan& planned = plan.tensors[i];
    Json line = {{"name", planned.tensor->name},
                 {"shape", planned.tensor->shape},
                 {"from", DTypeName(planned.tensor->type)},
                 {"to", DTypeName(planned.type)},
                 {"bytes", planned.tensor->data.size()},
                 {"new_bytes", planned.bytes()}};
    if (!planned.note.empty()) line["note"] = planned.note;
    if (!errors.empty() && planned.changes()) {
      line["error"] = {{"rms", errors[i].rms}, {"relative", errors[i].relative}, {"max", errors[i].max}};
    }
    json["tensors"].push_back(std::move(line));
  }
  return json;
}

Result<QuantizeOptions> ReadOptions(const QuantizeFlags& flags) {
  QuantizeOptions options;
  options.preset = FindPreset(flags.type);
  if (options.preset == nullptr) {
    return Fail("quantize: no such type: {}; there are {}", flags.type, PresetNames());
  }
  for (const std::string& text : flags.tensor_types) {
    auto type = ParseTypeOverride(text);
    if (!type) return Context(type.error(), "quantize: --tensor-type");
    options.overrides.push_back(*std::move(type));
  }
  options.requantize = flags.requantize;
  return options;
}

Result<std::vector<TensorError>> WriteFile(const QuantizeFlags& flags, const GgufFile& file,
                                           const QuantizePlan& plan, const Importance* importance) {
  std::error_code ignored;
  if (std::filesystem::equivalent(flags.in, flags.out, ignored)) {
    return Fail("quantize: {} would replace itself; wanted another name for the output", flags.out);
  }
  InterruptFlag();
  ThreadPool pool(flags.threads);
  Progress progress("quantising, MB", file.file_bytes() / 1'000'000);
  QuantizeJob job;
  job.file = &file;
  job.plan = &plan;
  job.out = flags.out;
  job.pool = &pool;
  job.importance = importance;
  job.progress = [&](uint64_t done) -> Status {
    if (Interrupted()) return Fail("interrupted: {} was not written", flags.out);
    progress.Update(done / 1'000'000);
    return {};
  };
  return Quantize(job);
}

void PrintComparison(const CompareReport& report) {
  fmt::print("compared on {} pictures\n", report.pictures);
  fmt::print("  visual tokens: cosine {:.6f} (least {:.6f}) over {}\n", report.visual_tokens.mean(),
             report.visual_tokens.least(), report.visual_tokens.rows());
  fmt::print("  logits: KL divergence {:.5f}, same likeliest token {:.1f} % of {} positions\n",
             report.logits.mean_kl(), 100 * report.logits.top1(), report.logits.rows());
}

Json ComparisonJson(const CompareReport& report) {
  return {{"pictures", report.pictures},
          {"visual_cosine", report.visual_tokens.mean()},
          {"visual_cosine_least", report.visual_tokens.least()},
          {"positions", report.logits.rows()},
          {"kl", report.logits.mean_kl()},
          {"top1", report.logits.top1()}};
}

Status RunQuantize(const QuantizeFlags& flags) {
  if (flags.compare && flags.comparison.other.empty()) {
    return Fail("quantize: --compare needs --with FILE, the other half of the model");
  }
  MVLM_ASSIGN(QuantizeOptions options, ReadOptions(flags));
  std::optional<Importance> importance;
  if (!flags.imatrix.empty()) {
    MVLM_ASSIGN(importance, Importance::Load(flags.imatrix));
    options.has_importance = true;
  }
  MVLM_ASSIGN(const GgufFile file, GgufFile::Open(flags.in));
  MVLM_ASSIGN(const QuantizePlan plan, PlanQuantization(file, options));
  std::vector<TensorError> errors;
  if (!flags.dry_run) {
    MVLM_ASSIGN(errors, WriteFile(flags, file, plan, importance ? &*importance : nullptr));
  }
  Json json;
  if (flags.json) {
    json = PlanJson(file, plan, errors);
  } else {
    PrintTable(file, plan, errors);
  }
  if (flags.compare && !flags.dry_run) {
    CompareRequest request = flags.comparison;
    request.original = flags.in;
    request.smaller = flags.out;
    request.threads = flags.threads;
    MVLM_ASSIGN(const CompareReport report, CompareModels(request));
    if (flags.json) {
      json["comparison"] = ComparisonJson(report);
    } else {
      PrintComparison(report);
    }
  }
  // Names may be any bytes: broken UTF-8 is replaced.
  if (flags.json) fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
  return {};
}

}  // namespace

void AddQuantizeCommand(CLI::App& app, Status& status) {
  CLI::App* command = app.add_subcommand(
      "quantize",
      "Make a model file smaller\n\n"
      "Examples:\n"
      "  mobilevlm quantize text-f16.gguf text-q4_k_m.gguf q4_k_m\n"
      "  mobilevlm quantize mmproj-f16.gguf mmproj-q8_0.gguf q8_0\n"
      "  mobilevlm quantize text-f16.gguf small.gguf q4_0 --dry-run\n"
      "  mobilevlm quantize text-f16.gguf mixed.gguf q4_k_s --tensor-type 'blk.*.attn_k.weight=q6_k'\n"
      "  mobilevlm quantize text-f16.gguf small.gguf q4_k_m --compare --with mmproj.gguf --image "
      "photo.jpg\n"
      "  mobilevlm quantize text-f16.gguf tiny.gguf q2_k --imatrix imatrix.gguf\n\n"
      "Reads F32, F16 and BF16 files, text model or mmproj. Prints what became of every tensor: its type, "
      "its\n"
      "size, and the error of its values (rms, and relative to their root mean square). The types:\n"
      "  q8_0              half of F16, no loss that is seen        8.5 bits per weight\n"
      "  q6_k q5_k_m       nearly as good                           6.6  5.7\n"
      "  q4_k_m q4_k_s     the usual choice for small devices       4.8  4.6\n"
      "  q4_0              the fastest to decode                    4.5\n"
      "  q3_k_m q2_k       when nothing else fits                   3.9  3.2\n"
      "q4_1, q5_0 and q5_1 are there for old programs. The vision tower's convolutions and position table, "
      "and\n"
      "all norms and biases, stay as they are.");
  const auto flags = std::make_shared<QuantizeFlags>();
  flags->comparison.samples.limit = kComparedPictures;
  command->add_option("IN", flags->in, "The .gguf file to read")->required();
  command->add_option("OUT", flags->out, "The .gguf file to write")->required();
  command->add_option("TYPE", flags->type, PresetNames())->required();
  command
      ->add_option("--tensor-type", flags->tensor_types,
                   "NAME=TYPE: this tensor's type; * stands for any text, the last match wins")
      ->expected(1)
      ->take_all();
  command->add_option("--imatrix", flags->imatrix, "Importance matrix: see `mobilevlm imatrix --help`");
  command->add_flag("--requantize", flags->requantize, "Also read tensors that are quantised already");
  command->add_flag("--dry-run", flags->dry_run, "Only print the plan");
  command->add_flag("--json", flags->json, "Machine-readable");
  CLI::Option* compare = command->add_flag(
      "--compare", flags->compare, "Then run both files on pictures: visual tokens, logits, likeliest token");
  command->add_option("--with", flags->comparison.other, "The other half of the model, for --compare")
      ->needs(compare);
  command
      ->add_option("--image", flags->comparison.samples.images, "Pictures (default: some of the mini world)")
      ->needs(compare);
  command
      ->add_option("--data", flags->comparison.samples.annotations,
                   "LLaVA annotations (JSON) with pictures beside it, instead of --image")
      ->needs(compare);
  command
      ->add_option("--limit", flags->comparison.samples.limit,
                   "At most so many samples of --data or of the mini world")
      ->check(CLI::Range(1, 1'000'000))
      ->needs(compare)
      ->capture_default_str();
  command->add_option("-p,--prompt", flags->comparison.samples.question, "The question about them")
      ->capture_default_str()
      ->needs(compare);
  command->add_option("--threads", flags->threads, "Threads (0: one per CPU)")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->callback([flags, &status] { status = RunQuantize(*flags); });
}

}  // namespace mobilevlm::app
