#include "miniature/miniature.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/directories.h"
#include "image/png_write.h"
#include "miniature/layout.h"

namespace mobilevlm::miniature {
namespace {

struct Writer {
  std::string_view name;
  Status (*write)(const Layout& layout);
};
constexpr std::array kWriters = {
    Writer{"scienceqa", WriteScienceQa},
    Writer{"docvqa", WriteDocVqa},
    Writer{"chartqa", WriteChartQa},
    Writer{"okvqa", WriteOkVqa},
    Writer{"gqa", WriteGqa},
    Writer{"textvqa", WriteTextVqa},
    Writer{"pope", WritePope},
    Writer{"mme", WriteMme},
    Writer{"mmbench", WriteMmBench},
    Writer{"vizwiz", WriteVizWiz},
    Writer{"seedbench", WriteSeedBench},
    Writer{"vl-checklist", WriteVlCheckList},
    Writer{"custom", WriteCustom},
};

std::string Dump(const nlohmann::ordered_json& value, int indent) {
  return value.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

world::Sample Layout::Sample(std::string_view kind, int index) const {
  return world::MakeSample(world, world::Split::kTest, kind, static_cast<uint64_t>(index));
}

Status Layout::Picture(const world::Scene& scene, const std::string& path) const {
  MVLM_ASSIGN(const std::string png, EncodePng(world.Render(scene).picture));
  return Text(path, png);
}

Status Layout::Text(const std::string& path, std::string_view text) const {
  const std::filesystem::path full = std::filesystem::path(directory) / path;
  MVLM_TRY(MakeDirectories(full.parent_path().string()));
  return WriteFileAtomically(full.string(), text);
}

Status Layout::Json(const std::string& path, const nlohmann::ordered_json& value) const {
  return Text(path, Dump(value, 1));
}

Status Layout::JsonLines(const std::string& path, const nlohmann::ordered_json& lines) const {
  std::string text;
  for (const auto& line : lines) text += Dump(line, -1);
  return Text(path, text);
}

std::vector<std::string_view> Names() {
  std::vector<std::string_view> names;
  for (const Writer& writer : kWriters) names.push_back(writer.name);
  return names;
}

Status Write(const world::World& world, std::string_view name, int rows, const std::string& directory) {
  const auto found = std::find_if(kWriters.begin(), kWriters.end(),
                                  [&](const Writer& writer) { return writer.name == name; });
  if (found == kWriters.end())
    return Fail("miniature: wanted one of {}, found {}", fmt::join(Names(), ", "), name);
  return found->write(Layout{world, rows, directory});
}

}  // namespace mobilevlm::miniature
