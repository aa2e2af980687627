// Every answer follows from its scene, and no kind can be answered from its words alone.
#include "world/questions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "base/check.h"
#include "base/read_file.h"
#include "world/dataset.h"
#include "world/names.h"
#include "world/objects.h"
#include "world/test_world.h"

namespace mobilevlm::world {
namespace {

// The things that a phrase without article can mean: "dog", "circle", "red circle".
std::vector<const Thing*> Meant(const Scene& scene, const std::string& phrase) {
  const Vocabulary& vocabulary = TheWorld().vocabulary();
  std::vector<const Thing*> things;
  for (const Thing& thing : scene.things) {
    const bool shape =
        thing.kind == ThingKind::kShape && vocabulary.shapes[static_cast<size_t>(thing.name)] == phrase;
    if (shape || Label(vocabulary, thing) == phrase) things.push_back(&thing);
  }
  return things;
}

std::string LastWord(const std::string& question) {
  static const std::regex kLast("(\\S+)[?.]$");
  std::smatch match;
  return std::regex_search(question, match, kLast) ? match[1].str() : "";
}

void CheckName(const Scene& scene, const Question& q) {
  const auto things = Meant(scene, q.answer);
  ASSERT_EQ(things.size(), 1u);
  for (const Thing& other : scene.things) {
    if (&other == things[0]) continue;
    if (q.question.find("left") != std::string::npos) {
      EXPECT_LT(things[0]->x + 0.1f, other.x);
    }
    if (q.question.find("right") != std::string::npos) {
      EXPECT_GT(things[0]->x, other.x + 0.1f);
    }
    if (q.question.find("top") != std::string::npos) {
      EXPECT_LT(things[0]->y + 0.1f, other.y);
    }
    if (std::regex_search(q.question, std::regex("lowest|bottom"))) {
      EXPECT_GT(things[0]->y, other.y + 0.1f);
    }
  }
  EXPECT_EQ(scene.things.size() == 1, std::regex_search(q.question, std::regex("this|picture")));
}

void CheckPresence(const Scene& scene, const Question& q) {
  std::smatch match;
  ASSERT_TRUE(
      std::regex_match(q.question, match, std::regex(".*(?:Is there|show) an? (\\w+)( in the picture)?\\?")))
      << q.question;
  EXPECT_EQ(q.answer, Meant(scene, match[1]).empty() ? "no" : "yes") << q.question;
}

void CheckCount(const Scene& scene, const Question& q) {
  int count = 0;
  for (const Thing& thing : scene.things) {
    if (thing.kind != ThingKind::kObject) continue;
    const std::string plural = Plural(Objects()[static_cast<size_t>(thing.name)]);
    count += std::regex_search(q.question, std::regex("\\b" + plural + "\\b"));
  }
  EXPECT_EQ(q.answer, std::to_string(count)) << q.question;
}

void CheckColour(const Scene& scene, const Question& q) {
  static const std::regex kNoun("the (\\w+)( have)?\\?");
  std::smatch match;
  ASSERT_TRUE(std::regex_search(q.question, match, kNoun));
  const auto things = Meant(scene, match[1]);
  ASSERT_EQ(things.size(), 1u);
  EXPECT_EQ(q.answer, kColours[static_cast<size_t>(things[0]->colour)].name);
}

void CheckShape(const Scene& scene, const Question& q) {
  EXPECT_EQ(Meant(scene, LastWord(q.question) + " " + q.answer).size(), 1u) << q.question;
  for (const std::string& shape : TheWorld().vocabulary().shapes) {
    if (shape != q.answer) {
      EXPECT_TRUE(Meant(scene, LastWord(q.question) + " " + shape).empty());
    }
  }
}

void CheckWhere(const Scene& scene, const Question& q) {
  std::smatch match;
  ASSERT_TRUE(std::regex_search(q.question, match, std::regex("is the ([a-z ]+)\\?")));
  const auto things = Meant(scene, match[1]);
  ASSERT_EQ(things.size(), 1u) << q.question;
  const auto has = [&](const char* word) { return q.answer.find(word) != std::string::npos; };
  EXPECT_EQ(has("left"), things[0]->x < 1.0f / 3);
  EXPECT_EQ(has("right"), things[0]->x > 2.0f / 3);
  EXPECT_EQ(has("top"), things[0]->y < 1.0f / 3);
  EXPECT_EQ(has("bottom"), things[0]->y > 2.0f / 3);
}

void CheckRelation(const Scene& scene, const Question& q) {
  std::smatch match;
  const std::regex form("Is the ([a-z ]+) (left of|right of|above|below) the ([a-z ]+)\\?");
  ASSERT_TRUE(std::regex_match(q.question, match, form));
  const auto a = Meant(scene, match[1]), b = Meant(scene, match[3]);
  ASSERT_TRUE(a.size() == 1 && b.size() == 1) << q.question;
  const std::map<std::string, float> lead = {{"left of", b[0]->x - a[0]->x},
                                             {"right of", a[0]->x - b[0]->x},
                                             {"above", b[0]->y - a[0]->y},
                                             {"below", a[0]->y - b[0]->y}};
  EXPECT_GE(std::abs(lead.at(match[2])), 0.12f - 1e-5f);
  EXPECT_EQ(q.answer, lead.at(match[2]) > 0 ? "yes" : "no");
}

void CheckText(const Scene& scene, const Question& q) {
  ASSERT_EQ(q.answer.size(), scene.things.size());
  for (size_t i = 0; i < q.answer.size(); ++i) {
    EXPECT_EQ(TheWorld().vocabulary().characters[static_cast<size_t>(scene.things[i].name)][0], q.answer[i]);
    if (i > 0) {
      EXPECT_LT(scene.things[i - 1].x, scene.things[i].x);
    }
  }
}

void CheckChart(const Scene& scene, const Question& q) {
  std::map<std::string, int> bars;
  for (const Thing& bar : scene.things) {
    bars[std::string(kColours[static_cast<size_t>(bar.colour)].name)] = bar.value;
  }
  const auto tallest = std::max_element(bars.begin(), bars.end(),
                                        [](const auto& a, const auto& b) { return a.second < b.second; });
  std::smatch match;
  if (std::regex_match(q.question, match, std::regex("How tall is the (\\w+) bar\\?"))) {
    EXPECT_EQ(q.answer, std::to_string(bars.at(match[1])));
  } else if (q.question == "Which bar is tallest?") {
    EXPECT_EQ(q.answer, tallest->first);
  } else {
    EXPECT_EQ(q.answer, std::to_string(tallest->second));
  }
}

void CheckChoice(const Scene& scene, const Question& q) {
  std::smatch match;
  ASSERT_TRUE(std::regex_search(q.question, match,
                                std::regex("\\nA\\. (\\w+)\\nB\\. (\\w+)\\nC\\. (\\w+)\\nD\\. (\\w+)$")));
  std::set<std::string> options;
  for (size_t i = 1; i <= 4; ++i) {
    options.insert(match[i]);
    EXPECT_EQ(!Meant(scene, match[i]).empty(), q.answer == std::string(1, static_cast<char>('A' + i - 1)));
  }
  EXPECT_EQ(options.size(), 4u);
}

void CheckFact(const Scene& scene, const Question& q) {
  const std::map<std::string, Fact> facts = {{"Can it fly?", Fact::kFlies},
                                             {"Do people eat it?", Fact::kEaten},
                                             {"Is it an animal?", Fact::kAnimal},
                                             {"Is it a vehicle?", Fact::kVehicle},
                                             {"Is it a plant?", Fact::kPlant}};
  const auto truth = FactOf(Objects()[static_cast<size_t>(scene.things.at(0).name)], facts.at(q.question));
  ASSERT_TRUE(truth.has_value());
  EXPECT_EQ(q.answer, *truth ? "yes" : "no");
}

void CheckAnswer(const Scene& scene, const Question& q) {
  if (q.kind == "name") CheckName(scene, q);
  if (q.kind == "caption") {
    EXPECT_EQ(q.answer, TheWorld().Caption(scene));
  }
  if (q.kind == "presence") CheckPresence(scene, q);
  if (q.kind == "count") CheckCount(scene, q);
  if (q.kind == "colour") CheckColour(scene, q);
  if (q.kind == "shape") CheckShape(scene, q);
  if (q.kind == "where") CheckWhere(scene, q);
  if (q.kind == "relation") CheckRelation(scene, q);
  if (q.kind == "text") CheckText(scene, q);
  if (q.kind == "chart") CheckChart(scene, q);
  if (q.kind == "choice") CheckChoice(scene, q);
  if (q.kind == "fact") CheckFact(scene, q);
}

TEST(Questions, AnswersFollowFromTheScene) {
  for (const std::string& kind : Kinds()) {
    for (uint64_t i = 0; i < 300; ++i) {
      const Sample sample = MakeSample(TheWorld(), Split::kTrain, kind, i);
      ASSERT_EQ(sample.question.kind, kind);
      CheckAnswer(sample.scene, sample.question);
    }
  }
  for (uint64_t i = 0; i < 1000; ++i) {
    const Scene scene = TheWorld().MakeScene(Split::kTrain, i);
    Random random(i);
    std::set<std::string> kinds;
    const auto questions = TheWorld().AskAbout(scene, 3, random);
    EXPECT_GE(questions.size(), 2u);
    for (const Question& question : questions) {
      CheckAnswer(scene, question);
      EXPECT_TRUE(kinds.insert(question.kind).second) << "asked twice: " << question.kind;
    }
    EXPECT_LE(questions.size(), 3u);
  }
}

double MajorityShare(const std::map<std::string, int>& answers) {
  int total = 0, most = 0;
  for (const auto& [answer, count] : answers) {
    total += count;
    most = std::max(most, count);
  }
  return static_cast<double>(most) / total;
}

TEST(Questions, BlindMajorityIsNearChanceOnTheTestSplit) {
  for (const std::string& kind : Kinds()) {
    std::map<std::string, int> answers;
    for (uint64_t i = 0; i < 400; ++i)
      ++answers[MakeSample(TheWorld(), Split::kTest, kind, i).question.answer];
    EXPECT_LE(MajorityShare(answers), ChanceOf(kind) + 0.05) << kind;
  }
}

// The chance of a question known by its words: charts and facts ask several things under one kind.
TEST(Questions, EachWordingIsBalanced) {
  std::map<std::string, std::map<std::string, int>> answers;
  for (uint64_t i = 0; i < 12000; ++i) {
    for (const char* kind : {"chart", "fact"}) {
      const Question q = MakeSample(TheWorld(), Split::kTest, kind, i).question;
      const bool any_bar = q.question.starts_with("How tall");
      ++answers[any_bar ? "How tall" : q.question][q.answer];
    }
  }
  ASSERT_EQ(answers.size(), 3u + 5u);
  for (const auto& [question, counts] : answers) {
    const double chance = question == "Which bar is tallest?" ? 1.0 / 11
                          : question == "How tall"            ? 1.0 / 9
                          : question.starts_with("What is")   ? 16.0 / 92
                                                              : 0.5;
    EXPECT_LE(MajorityShare(counts), chance + 0.05) << question;
  }
}

// In the mixed training stream too, with facts thinned out.
TEST(Questions, TrainingStreamIsBalanced) {
  std::map<std::string, std::map<std::string, int>> answers;
  for (uint64_t i = 0; i < 30000; ++i) {
    Random random(i);
    const Scene scene = TheWorld().MakeScene(Split::kTrain, i);
    for (const Question& q : TheWorld().AskAbout(scene, 12, random)) {
      ++answers[q.kind == "fact" ? q.question : q.kind][q.answer];
    }
  }
  for (const char* fact :
       {"Can it fly?", "Do people eat it?", "Is it an animal?", "Is it a vehicle?", "Is it a plant?"}) {
    EXPECT_LE(MajorityShare(answers[fact]), 0.57) << fact;
  }
  for (const char* kind : {"presence", "count", "colour", "shape", "where", "relation", "chart", "choice"}) {
    EXPECT_LE(MajorityShare(answers[kind]), ChanceOf(kind) + 0.05) << kind;
  }
}

// Whether a name is asked for tells nothing about the answer.
TEST(Questions, PresenceIsBalancedForEachName) {
  std::map<std::string, std::array<int, 2>> answers;
  for (uint64_t i = 0; i < 20000; ++i) {
    const Question q = MakeSample(TheWorld(), Split::kTrain, "presence", i).question;
    std::smatch match;
    ASSERT_TRUE(std::regex_search(q.question, match, std::regex("an? (\\w+)")));
    ++answers[match[1]][q.answer == "yes"];
  }
  EXPECT_EQ(answers.size(), Objects().size());
  for (const auto& [name, counts] : answers) {
    const double total = counts[0] + counts[1];
    // Binomial: four standard deviations.
    EXPECT_NEAR(counts[1] / total, 0.5, 4 * 0.5 / std::sqrt(total)) << name;
  }
}

TEST(Objects, NamesAreSingleDistinctWords) {
  EXPECT_GE(Objects().size(), 160u);
  std::set<std::string_view> names;
  std::set<char32_t> code_points;
  for (const ObjectInfo& object : Objects()) {
    EXPECT_TRUE(names.insert(object.name).second) << object.name;
    EXPECT_TRUE(code_points.insert(object.code_point).second) << object.name;
    EXPECT_TRUE(
        std::all_of(object.name.begin(), object.name.end(), [](char c) { return c >= 'a' && c <= 'z'; }));
    for (const Colour& colour : kColours) EXPECT_NE(object.name, colour.name);
  }
  for (const std::string& shape : TheWorld().vocabulary().shapes) EXPECT_FALSE(names.contains(shape));
}

// Unicode's own names, from Debian's unicode-data, are the oracle.
TEST(Objects, NamesAreUnicodes) {
  std::ifstream file("/usr/share/unicode/emoji/emoji-test.txt");
  if (!file) GTEST_SKIP() << "needs Debian's unicode-data";
  std::map<char32_t, std::string> unicode_names;
  for (std::string line; std::getline(file, line);) {
    std::smatch match;
    static const std::regex kLine("([0-9A-F]+)(?: FE0F)? +; fully-qualified +# \\S+ E\\S+ (.*)");
    if (!std::regex_match(line, match, kLine)) continue;
    std::string name = match[2];
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    unicode_names[static_cast<char32_t>(std::stoul(match[1], nullptr, 16))] = name;
  }
  const std::map<std::string_view, std::string> synonyms = {
      {"sheep", "ewe"},      {"caterpillar", "bug"}, {"ladybug", "lady beetle"}, {"cherry", "cherries"},
      {"hotdog", "hot dog"}, {"car", "automobile"},  {"football", "soccer ball"}};
  for (const ObjectInfo& object : Objects()) {
    const std::string& official = unicode_names[object.code_point];
    const auto synonym = synonyms.find(object.name);
    const std::string wanted = synonym == synonyms.end() ? std::string(object.name) : synonym->second;
    EXPECT_THAT(official, testing::HasSubstr(wanted));
  }
}

const ObjectInfo& Named(std::string_view name) {
  const auto at =
      std::find_if(Objects().begin(), Objects().end(), [&](const auto& o) { return o.name == name; });
  MVLM_CHECK(at != Objects().end(), "no object '{}'", name);
  return *at;
}

TEST(Objects, FactsAndPlurals) {
  EXPECT_EQ(FactOf(Named("eagle"), Fact::kFlies), true);
  EXPECT_EQ(FactOf(Named("penguin"), Fact::kFlies), false);
  EXPECT_EQ(FactOf(Named("airplane"), Fact::kFlies), true);
  EXPECT_EQ(FactOf(Named("rooster"), Fact::kFlies), std::nullopt);
  EXPECT_EQ(FactOf(Named("pizza"), Fact::kEaten), true);
  EXPECT_EQ(FactOf(Named("apple"), Fact::kPlant), std::nullopt);
  EXPECT_EQ(FactOf(Named("cow"), Fact::kEaten), std::nullopt);
  EXPECT_EQ(FactOf(Named("bus"), Fact::kVehicle), true);
  EXPECT_EQ(FactOf(Named("tulip"), Fact::kPlant), true);
  EXPECT_EQ(Plural(Named("dog")), "dogs");
  EXPECT_EQ(Plural(Named("bus")), "buses");
  EXPECT_EQ(Plural(Named("cherry")), "cherries");
  EXPECT_EQ(Plural(Named("key")), "keys");
  EXPECT_EQ(Plural(Named("mouse")), "mice");
  EXPECT_EQ(Plural(Named("sheep")), "sheep");
}

TEST(Dataset, WritesLlavaAnnotationsAndPictures) {
  const std::filesystem::path directory =
      std::filesystem::path(testing::TempDir()) / "mobilevlm_world_export";
  std::filesystem::remove_all(directory);
  const auto written = ExportDataset(TheWorld(), {directory.string(), Split::kTest, 2, 20});
  ASSERT_TRUE(written.has_value()) << written.error().message;
  EXPECT_EQ(*written, 20);
  const auto text = ReadFile((directory / "annotations.json").string(), 1 << 20);
  ASSERT_TRUE(text.has_value());
  const auto list = nlohmann::json::parse(*text);
  ASSERT_EQ(list.size(), 20u);
  std::set<std::string> ids;
  for (const auto& item : list) {
    ids.insert(item.at("id").get<std::string>());
    const auto& turns = item.at("conversations");
    ASSERT_EQ(turns.size(), 2u);
    EXPECT_EQ(turns[0].at("from"), "human");
    EXPECT_TRUE(turns[0].at("value").get<std::string>().starts_with("<image>\n"));
    EXPECT_EQ(turns[1].at("from"), "gpt");
    EXPECT_THAT(Kinds(), testing::Contains(item.at("kind").get<std::string>()));
    const auto png = ReadFile((directory / item.at("image").get<std::string>()).string(), 1 << 20);
    ASSERT_TRUE(png.has_value());
    EXPECT_TRUE(png->starts_with("\x89PNG\r\n"));
  }
  EXPECT_EQ(ids.size(), 20u);
  ASSERT_TRUE(ExportDataset(TheWorld(), {directory.string(), Split::kTest, 2, 20}).has_value());
  EXPECT_EQ(ReadFile((directory / "annotations.json").string(), 1 << 20).value(), *text);
  EXPECT_FALSE(ExportDataset(TheWorld(), {"/proc/nowhere", Split::kTest, 1, 1}).has_value());
  EXPECT_FALSE(ParseSplit("tset").has_value());
  EXPECT_EQ(ParseSplit("validation").value(), Split::kValidation);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace mobilevlm::world
