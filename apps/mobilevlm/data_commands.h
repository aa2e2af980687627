// The subcommands of `mobilevlm data`, one file each, and what they share.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/thread_pool.h"
#include "commands.h"
#include "data/dataset.h"
#include "quality/annotation_writer.h"
#include "quality/scan.h"

namespace mobilevlm::app {

void AddDataCheckCommand(CLI::App& data, Status& status);
void AddDataStatsCommand(CLI::App& data, Status& status);
void AddDataDedupCommand(CLI::App& data, Status& status);
void AddDataMixCommand(CLI::App& data, Status& status);
void AddDataLeakCommand(CLI::App& data, Status& status);

// Which annotations, and how they are read.
struct DataFlags {
  std::vector<std::string> files;
  std::string images;
  int threads = 0;
  bool json = false;
};
// FILE..., --images, --threads, --json.
void AddDataFlags(CLI::App& command, DataFlags& flags);

// The files as one dataset, whatever is wrong with single samples. A file may have its weight behind it:
// "a.json=0.5".
Result<data::Dataset> OpenDataset(const std::vector<std::string>& files, const std::string& images,
                                  int threads);

// "a.json, b.json".
std::string NamesOf(const data::Dataset& dataset);

// What flags name for writing (empty: nothing) must be neither a file that is read nor two times the same.
Status CheckOutputs(const std::vector<std::string>& paths, const std::vector<const data::Dataset*>& read);
// A file that a flag names; nothing where it names none. Opened before the work, so that a name that cannot
// be written ends the command at once.
Result<std::optional<AtomicFile>> CreateIfNamed(const std::string& path);
Result<std::optional<quality::AnnotationWriter>> CreateIfNamed(const std::string& path,
                                                               const data::Dataset& dataset);

// The threads of a command, and its progress and Ctrl-C.
class DataWork {
 public:
  explicit DataWork(const DataFlags& flags) : pool_(flags.threads) {}
  quality::Work work() { return {pool_, /*progress=*/true, &InterruptFlag()}; }

 private:
  ThreadPool pool_;
};

// Prints one JSON object, bytes that are no UTF-8 replaced.
void PrintJson(const nlohmann::ordered_json& json);
std::string ToLine(const nlohmann::ordered_json& json);

}  // namespace mobilevlm::app
