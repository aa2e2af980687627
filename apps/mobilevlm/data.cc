// mobilevlm data: what the annotations of a training set are worth.
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <filesystem>

#include "data_command.h"
#include "data_commands.h"

namespace mobilevlm::app {
namespace {

// Takes "=0.5" off the end of a file's name.
double TakeWeight(std::string& file) {
  const size_t equals = file.rfind('=');
  if (equals == std::string::npos) return 1.0;
  double weight = 0;
  const char* end = file.data() + file.size();
  const auto [rest, error] = std::from_chars(file.data() + equals + 1, end, weight);
  if (error != std::errc() || rest != end) return 1.0;
  file.resize(equals);
  return weight;
}

}  // namespace

void AddDataFlags(CLI::App& command, DataFlags& flags) {
  command.add_option("FILE", flags.files, "Annotations: LLaVA's JSON, or one such object a line")->required();
  command.add_option("--images", flags.images, "Directory of the pictures (default: that of each file)");
  command.add_option("--threads", flags.threads, "Threads (0: one per CPU)")
      ->check(WholeNumber(0, 1024))
      ->capture_default_str();
  command.add_flag("--json", flags.json, "Print the result as JSON");
}

Result<data::Dataset> OpenDataset(const std::vector<std::string>& files, const std::string& images,
                                  int threads) {
  data::DatasetOptions options;
  for (std::string file : files) {
    const double weight = TakeWeight(file);
    options.sources.push_back({.annotations = file, .image_root = images, .weight = weight});
  }
  options.skip_limit = 1;
  options.require_usable = false;
  options.open = {.threads = threads, .progress = true, .cancel = &InterruptFlag(), .cache_directory = {}};
  return data::Dataset::Open(options);
}

std::string NamesOf(const data::Dataset& dataset) {
  std::string names;
  for (const data::AnnotationFile& file : dataset.files()) {
    if (!names.empty()) names += ", ";
    names += file.path();
  }
  return names;
}

Status CheckOutputs(const std::vector<std::string>& paths, const std::vector<const data::Dataset*>& read) {
  namespace fs = std::filesystem;
  const auto same = [](const std::string& a, const std::string& b) {
    std::error_code ignored;
    return fs::weakly_canonical(fs::absolute(a), ignored) == fs::weakly_canonical(fs::absolute(b), ignored);
  };
  for (size_t i = 0; i < paths.size(); ++i) {
    if (paths[i].empty()) continue;
    for (const data::Dataset* dataset : read) {
      for (const data::AnnotationFile& file : dataset->files()) {
        if (same(file.path(), paths[i])) {
          return Fail("{}: wanted a new file, found one of those that are read", paths[i]);
        }
      }
    }
    for (size_t k = 0; k < i; ++k) {
      if (!paths[k].empty() && same(paths[k], paths[i])) {
        return Fail("{}: wanted a file for each output, found this name twice", paths[i]);
      }
    }
  }
  return {};
}

Result<std::optional<AtomicFile>> CreateIfNamed(const std::string& path) {
  if (path.empty()) return std::nullopt;
  return AtomicFile::Create(path);
}

Result<std::optional<quality::AnnotationWriter>> CreateIfNamed(const std::string& path,
                                                               const data::Dataset& dataset) {
  if (path.empty()) return std::nullopt;
  return quality::AnnotationWriter::Create(path, dataset);
}

std::string ToLine(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

void PrintJson(const nlohmann::ordered_json& json) { std::fputs(ToLine(json).c_str(), stdout); }

void AddDataCommand(CLI::App& app, Status& status) {
  CLI::App* data = app.add_subcommand(
      "data",
      "Check, describe, clean and mix training data\n\n"
      "Examples:\n"
      "  mobilevlm data check annotations.json --images pictures\n"
      "  mobilevlm data stats annotations.json --html stats.html\n"
      "  mobilevlm data dedup annotations.json -o unique.json --html duplicates.html\n"
      "  mobilevlm data leak annotations.json --eval benchmark.jsonl -o clean.json\n"
      "  mobilevlm data mix a.json b.json=0.5 -o mix.json --max-same-answer 2000\n\n"
      "A file is indexed the first time (FILE.index beside it); the hashes of its pictures are kept in\n"
      "FILE.pictures, so that a run that was cut short continues.");
  data->require_subcommand(1);
  AddDataCheckCommand(*data, status);
  AddDataStatsCommand(*data, status);
  AddDataDedupCommand(*data, status);
  AddDataMixCommand(*data, status);
  AddDataLeakCommand(*data, status);
}

}  // namespace mobilevlm::app
