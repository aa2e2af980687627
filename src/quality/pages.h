// What the tools found, as self-contained HTML pages: plots, tables, and samples with their pictures.
#pragma once

#include <string>

#include "quality/duplicates.h"
#include "quality/leaks.h"
#include "quality/statistics.h"

namespace mobilevlm::quality {

// Pictures that cannot be read leave their reason in the page. `title` names the files.
Result<std::string> StatisticsPage(const data::Dataset& dataset, const Statistics& statistics,
                                   const std::string& title);
Result<std::string> DuplicatesPage(const data::Dataset& dataset, const DuplicateReport& report,
                                   const std::string& title);
Result<std::string> LeaksPage(const data::Dataset& training, const data::Dataset& evaluation,
                              const LeakReport& report, const std::string& title);

}  // namespace mobilevlm::quality
