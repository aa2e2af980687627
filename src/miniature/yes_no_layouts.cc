// Benchmarks of true and false statements: POPE, MME, VL-CheckList.
#include <array>
#include <nlohmann/json.hpp>

#include "miniature/layout.h"
#include "world/names.h"

namespace mobilevlm::miniature {
namespace {

using nlohmann::ordered_json;

// "red" -> another colour.
std::string OtherColour(const world::Vocabulary& vocabulary, const std::string& colour) {
  return vocabulary.colours[0] == colour ? vocabulary.colours[4] : vocabulary.colours[0];
}

// What colour is the X? Y. -> "Y X", "Z X": a true and a false description.
struct Statement {
  std::string positive, negative;
};

Statement ColourStatement(const world::Vocabulary& vocabulary, const world::Scene& scene) {
  for (const world::Thing& thing : scene.things) {
    if (thing.kind != world::ThingKind::kShape) continue;
    const std::string& shape = vocabulary.shapes[static_cast<size_t>(thing.name)];
    const std::string& colour = vocabulary.colours[static_cast<size_t>(thing.colour)];
    return {colour + " " + shape, OtherColour(vocabulary, colour) + " " + shape};
  }
  return {"picture", "window"};
}

Statement ObjectStatement(const world::Vocabulary& vocabulary, const world::Scene& scene) {
  const world::Thing& thing = scene.things.at(0);
  const std::string label = world::Label(vocabulary, thing);
  const std::string& other =
      vocabulary.objects[(static_cast<size_t>(std::max(thing.name, 0)) + 90) % vocabulary.objects.size()];
  return {world::WithArticle(label), world::WithArticle(other)};
}

}  // namespace

Status WritePope(const Layout& layout) {
  int index = 0;
  for (const std::string subset : {"adversarial", "random", "popular"}) {
    ordered_json rows = ordered_json::array();
    for (int i = 0; i < 2 * layout.rows; ++i, ++index) {
      const world::Sample sample = layout.Sample("presence", index);
      const std::string image = fmt::format("COCO_val2014_{:012}.jpg", 310000 + index);
      MVLM_TRY(layout.Picture(sample.scene, "val2014/" + image));
      rows.push_back({{"question_id", i + 1},
                      {"image", image},
                      {"text", sample.question.question},
                      {"label", sample.question.answer}});
    }
    MVLM_TRY(layout.JsonLines("coco/coco_pope_" + subset + ".json", rows));
  }
  return {};
}

Status WriteMme(const Layout& layout) {
  const world::Vocabulary& vocabulary = layout.world.vocabulary();
  const std::string root = "MME_Benchmark_release_version/";
  const auto pair = [&](const std::string& question, const Statement& statement) {
    const auto line = [&](const std::string& what, const char* truth) {
      return fmt::format("{} Please answer yes or no.\t{}\n", fmt::format(fmt::runtime(question), what),
                         truth);
    };
    return line(statement.positive, "Yes") + line(statement.negative, "No");
  };
  for (int i = 0; i < layout.rows; ++i) {
    // Two layouts: picture and text side by side, and in folders of their own.
    const world::Scene things = layout.Sample("presence", 300 + i).scene;
    const std::string stem = fmt::format("{:012}", 6040 + i);
    MVLM_TRY(layout.Picture(things, root + "existence/" + stem + ".jpg"));
    MVLM_TRY(layout.Text(root + "existence/" + stem + ".txt",
                         pair("Is there {} in this image?", ObjectStatement(vocabulary, things))));
    const world::Scene shapes = layout.Sample("colour", 300 + i).scene;
    MVLM_TRY(layout.Picture(shapes, root + "color/" + stem + ".jpg"));
    MVLM_TRY(layout.Text(root + "color/" + stem + ".txt",
                         pair("Is there a {} in the image?", ColourStatement(vocabulary, shapes))));
    const world::Scene scene = layout.Sample("name", 300 + i).scene;
    MVLM_TRY(layout.Picture(scene, root + "scene/images/" + stem + ".jpg"));
    MVLM_TRY(layout.Text(root + "scene/questions_answers_YN/" + stem + ".txt",
                         pair("Does this image show {}?", ObjectStatement(vocabulary, scene))));
    const world::Sample text = layout.Sample("text", 300 + i);
    MVLM_TRY(layout.Picture(text.scene, root + "text_translation/" + stem + ".png"));
    MVLM_TRY(layout.Text(root + "text_translation/" + stem + ".txt",
                         pair("Does it say \"{}\"?", {text.question.answer, "X" + text.question.answer})));
  }
  return {};
}

Status WriteVlCheckList(const Layout& layout) {
  const world::Vocabulary& vocabulary = layout.world.vocabulary();
  const auto corpus = [&](const std::string& place, const std::string& images, const char* kind,
                          const auto& statement) -> Status {
    ordered_json rows = ordered_json::array();
    for (int i = 0; i < layout.rows; ++i) {
      const world::Sample sample = layout.Sample(kind, 400 + i);
      const std::string image = std::to_string(2376000 + i) + ".jpg";
      MVLM_TRY(layout.Picture(sample.scene, images + "/" + image));
      const Statement captions = statement(sample);
      rows.push_back({image, {{"POS", {captions.positive}}, {"NEG", {captions.negative}}}});
    }
    const std::string annotations = "data/" + place + ".json";
    MVLM_TRY(layout.Json(annotations, rows));
    return layout.Text(
        "corpus/v1/" + place + ".yaml",
        fmt::format("ANNO_PATH: \"{}\"\nIMG_ROOT: \"{}\"\nTYPE: \"TUPLE_JSON\"\n", annotations, images));
  };
  const auto colours = [&](const world::Sample& s) { return ColourStatement(vocabulary, s.scene); };
  const auto objects = [&](const world::Sample& s) { return ObjectStatement(vocabulary, s.scene); };
  // "Is the dog left of the cat?" -> "the dog left of the cat", and the opposite.
  const auto relations = [](const world::Sample& s) {
    std::string stated = s.question.question.substr(3);
    stated.pop_back();
    std::string opposite = stated;
    constexpr std::array<std::pair<const char*, const char*>, 4> kOpposites = {{{" left of ", " right of "},
                                                                                {" right of ", " left of "},
                                                                                {" above ", " below "},
                                                                                {" below ", " above "}}};
    for (const auto& [from, to] : kOpposites) {
      if (const size_t at = stated.find(from); at != std::string::npos) {
        opposite.replace(at, std::string_view(from).size(), to);
        break;
      }
    }
    return s.question.answer == "yes" ? Statement{stated, opposite} : Statement{opposite, stated};
  };
  MVLM_TRY(corpus("Attribute/color/vg", "vg/VG_100K", "colour", colours));
  MVLM_TRY(corpus("Attribute/color/vaw", "vaw", "shape", colours));
  MVLM_TRY(corpus("Object/Location/center/vg_obj", "vg/VG_100K_obj", "name", objects));
  MVLM_TRY(corpus("Object/Size/large/swig_item", "swig", "caption", objects));
  return corpus("Relation/spatial/vg", "vg/VG_100K_rel", "relation", relations);
}

}  // namespace mobilevlm::miniature
