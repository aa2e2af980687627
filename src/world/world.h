// The mini world: small procedural pictures with questions and answers, deterministic by seed.
//
// A Scene is pure data (what is where); Render() draws it; AskAbout() derives questions and answers
// from it; neither needs the other, so a language model can be pre-trained on scenes without drawing.
// Coordinates are fractions of the side: x to the right, y downwards, (0, 0) is the top left corner.
//
// Thread contract: a World is immutable after Create; all members may be called concurrently.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "image/image.h"

namespace mobilevlm::world {

// Disjoint by seed and by object combination (docs/world.md).
enum class Split { kTrain, kValidation, kTest };

enum class SceneType {
  kObjects,  // 1 to 4 emoji objects and coloured shapes
  kCrowd,    // 0 to 8 copies of one object among others, for counting
  kText,     // 1 to 5 characters of A-Z 0-9
  kChart,    // 3 to 6 coloured bars with values 1 to 9
};

enum class ThingKind { kObject, kShape, kCharacter, kBar };

struct Thing {
  ThingKind kind = ThingKind::kObject;
  int name = 0;        // index into Vocabulary: objects, shapes or characters; -1 for a bar
  int colour = -1;     // index into Vocabulary::colours; -1 for objects
  int value = 0;       // height of a bar, 1 to 9
  float x = 0, y = 0;  // centre
  float w = 0, h = 0;  // extent
  float rotation = 0;  // radians
};

struct Scene {
  SceneType type = SceneType::kObjects;
  std::vector<Thing> things;  // reading order: top to bottom, then left to right; text and bars left to right
  uint64_t style = 0;         // seed of background, font and other looks that no question asks about
  int font = 0;               // of text and charts; the last font appears in the test split only
  int subject = -1;           // crowd scenes: the object that is counted, also where there are none of it
};

// One question of a kind. `kind` is one of Kinds().
struct Question {
  std::string kind;
  std::string question;
  std::string answer;
};

struct Vocabulary {
  std::vector<std::string> objects;     // English names, one word each
  std::vector<std::string> shapes;      // "circle", "square", ...
  std::vector<std::string> colours;     // 11 names
  std::vector<std::string> characters;  // "A".."Z", "0".."9"
};

// What covers each pixel: index into scene.things, or -1 for background. [side, side]
struct LabelMap {
  int side = 0;
  std::vector<int16_t> thing;
};

struct Rendered {
  Image picture;    // RGB, [side, side, 3]
  LabelMap labels;  // later things lie on top
};

struct WorldOptions {
  int side = 144;  // pixels of the picture's side
  std::string emoji_font = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf";
  std::string font_directory = "/usr/share/fonts/truetype";  // of the text fonts, see drawings.h
  // What no training has seen, with the same scenes and questions: for tests out of distribution.
  std::string object_drawings = {};  // PNG files named by code point ("1f436.png") instead of the emoji font
  bool other_fonts = false;          // six other fonts of the same packages
  bool dotted_background = false;    // dots behind everything but charts
};

// The kinds in the order of reports: name, caption, presence, count, colour, shape, where, relation,
// text, chart, choice, fact.
const std::vector<std::string>& Kinds();
// The expected accuracy of the best answer given without looking, in [0, 1].
double ChanceOf(std::string_view kind);

class World {
 public:
  // Loads the drawings; an Error names the missing font and its Debian package.
  static Result<World> Create(const WorldOptions& options);
  World(World&&) noexcept;
  World& operator=(World&&) noexcept;
  ~World();

  const Vocabulary& vocabulary() const;

  // The scene number `index` of a split, suited to questions of `kind`.
  Scene MakeScene(Split split, std::string_view kind, uint64_t index) const;
  // The same for any kind, drawn from a mix that serves training.
  Scene MakeScene(Split split, uint64_t index) const;
  // Page number `index`: a kText scene of several lines, each a text of the training split. No question suits
  // it; it shows a vision tower five times as many characters as a scene of one text.
  Scene MakePage(uint64_t index) const;

  Rendered Render(const Scene& scene) const;

  // A question of this kind about the scene (see MakeScene), with balanced answers.
  Question Ask(const Scene& scene, std::string_view kind, Random& random) const;
  // Up to `count` questions of different kinds that suit the scene, in random order.
  std::vector<Question> AskAbout(const Scene& scene, int count, Random& random) const;
  // "a dog at the top left and a red circle at the bottom right." Fixed wording, reading order.
  std::string Caption(const Scene& scene) const;

  // The scene as words on a grid x grid raster, row by row: the names (and colours, values) of what
  // covers each cell; the cell that holds a thing's centre also carries the word "centre". Background
  // cells are empty. This is the text that the tiny language model is pre-trained on.
  std::vector<std::vector<std::string>> CellWords(const Scene& scene, int grid) const;

 private:
  struct Data;
  explicit World(std::unique_ptr<const Data> data);
  std::unique_ptr<const Data> data_;
};

}  // namespace mobilevlm::world
