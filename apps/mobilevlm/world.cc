// mobilevlm world: writes pictures with questions and answers, or one picture of many of them.
#include "world/world.h"

#include <fmt/format.h>

#include <memory>
#include <string>

#include "commands.h"
#include "world/dataset.h"
#include "world/objects.h"

namespace mobilevlm::app {
namespace {

struct WorldFlags {
  std::string split = "test";
  std::string out;
  std::string contact_sheet;
  int per_kind = 400;
  int limit = 0;
  int side = 144;
  bool objects = false;
  world::WorldOptions unseen;
};

Status RunWorld(const WorldFlags& flags) {
  if (flags.objects) {
    for (const world::ObjectInfo& object : world::Objects()) {
      fmt::print("{:x} {}\n", static_cast<uint32_t>(object.code_point), object.name);
    }
    return {};
  }
  if (flags.out.empty() && flags.contact_sheet.empty()) {
    return Fail("world: wanted --out DIR or --contact-sheet FILE.png, found neither");
  }
  MVLM_ASSIGN(const world::Split split, world::ParseSplit(flags.split));
  world::WorldOptions options = flags.unseen;
  options.side = flags.side;
  MVLM_ASSIGN(const world::World mini_world, world::World::Create(options));
  if (!flags.contact_sheet.empty()) {
    MVLM_TRY(world::WriteContactSheet(mini_world, split, 6, 8, flags.contact_sheet));
  }
  if (!flags.out.empty()) {
    MVLM_ASSIGN(const int written,
                world::ExportDataset(mini_world, {flags.out, split, flags.per_kind, flags.limit}));
    fmt::print("{}: {} samples of the {} split\n", flags.out, written, flags.split);
  }
  return {};
}

}  // namespace

void AddWorldCommand(CLI::App& app, Status& status) {
  CLI::App* command = app.add_subcommand("world",
                                         "Write mini-world pictures with questions and answers\n\n"
                                         "Examples:\n"
                                         "  mobilevlm world --split test --per-kind 400 --out world-test\n"
                                         "  mobilevlm world --split train --contact-sheet sheet.png\n\n"
                                         "There is no seed to choose: a split always has the same samples.");
  const auto flags = std::make_shared<WorldFlags>();
  command->add_option("--split", flags->split, "train, validation or test")->capture_default_str();
  command->add_option("--out", flags->out, "Directory for annotations.json (LLaVA format) and images/");
  command->add_option("--per-kind", flags->per_kind, "Questions of each kind")
      ->check(WholeNumber(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--limit", flags->limit, "At most so many samples in all (0: no limit)")
      ->check(WholeNumber(0, 12'000'000))
      ->capture_default_str();
  command->add_option("--side", flags->side, "Pixels of a picture's side")
      ->check(WholeNumber(24, 4096))
      ->capture_default_str();
  command->add_option("--contact-sheet", flags->contact_sheet, "One PNG of 48 pictures");
  command->add_flag("--objects", flags->objects, "List the objects instead: code point and name");
  command->add_option("--object-drawings", flags->unseen.object_drawings,
                      "Directory of PNG files named by code point (1f436.png) instead of the emoji font");
  command->add_flag("--other-fonts", flags->unseen.other_fonts, "Text in fonts that no split uses");
  command->add_flag("--dots", flags->unseen.dotted_background, "Dots as the background, which no split has");
  command->callback([flags, &status] { status = RunWorld(*flags); });
}

}  // namespace mobilevlm::app
