// `mobilevlm experiment NAME`: comparisons that one command repeats. Each leaves, in its directory,
// result.json (what was set, what was measured), plots (.svg) and page.md (tables and plots).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "mobilevlm/mobilevlm.h"
#include "training_runs.h"

namespace mobilevlm::app {

struct ExperimentFlags {
  LoadOptions load;
  std::string out;     // directory; empty: experiment-NAME
  int per_kind = 200;  // mini-world questions of each kind
  int repeats = 3;     // of times
  std::vector<std::string> formats = {"f16", "q8_0", "q6_k", "q4_k_m", "q4_0", "q3_k_m", "q2_k"};
  std::vector<std::string> sizes = {"1.7b", "3b", "7b"};
  std::string quant = "q4_0";
  std::vector<std::string> drawings;  // NAME=DIR
  int tokens = 32;                    // of the answer whose time is put together
  TrainingFlags training;
};

// A table of results: what the page shows and result.json holds.
struct ResultTable {
  std::string title;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};

struct ExperimentPage {
  std::string name, title, question;  // "ood"; the heading; what it asks
  std::vector<std::pair<std::string, std::string>> settings;
  std::vector<ResultTable> tables;
  std::vector<std::pair<std::string, std::string>> plots;  // file name, SVG
};

Status WritePage(const ExperimentPage& page, const std::string& directory);

Status RunLatencyExperiment(const ExperimentFlags& flags, const std::string& out);
Status RunOodExperiment(const ExperimentFlags& flags, const std::string& out);
Status RunQuantisationExperiment(const ExperimentFlags& flags, const std::string& out);
Status RunCalibrationExperiment(const ExperimentFlags& flags, const std::string& out);
Status RunProjectorsExperiment(const ExperimentFlags& flags, const std::string& out);
Status RunAblationsExperiment(const ExperimentFlags& flags, const std::string& out);

}  // namespace mobilevlm::app
