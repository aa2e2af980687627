// What the writers of the layouts share.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "world/dataset.h"
#include "world/world.h"

namespace mobilevlm::miniature {

// Where a layout is written, and what it is filled with.
struct Layout {
  const world::World& world;
  int rows;
  std::string directory;

  // Sample `index` of a kind, test split.
  world::Sample Sample(std::string_view kind, int index) const;
  // The scene's picture as a file below the directory, whose folders are made.
  Status Picture(const world::Scene& scene, const std::string& path) const;
  Status Text(const std::string& path, std::string_view text) const;
  Status Json(const std::string& path, const nlohmann::ordered_json& value) const;
  // One value a line.
  Status JsonLines(const std::string& path, const nlohmann::ordered_json& rows) const;
};

Status WriteGqa(const Layout& layout);
Status WriteTextVqa(const Layout& layout);
Status WriteDocVqa(const Layout& layout);
Status WriteChartQa(const Layout& layout);
Status WriteOkVqa(const Layout& layout);
Status WriteVizWiz(const Layout& layout);
Status WriteCustom(const Layout& layout);
Status WriteScienceQa(const Layout& layout);
Status WriteMmBench(const Layout& layout);
Status WriteSeedBench(const Layout& layout);
Status WritePope(const Layout& layout);
Status WriteMme(const Layout& layout);
Status WriteVlCheckList(const Layout& layout);

}  // namespace mobilevlm::miniature
