#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <numeric>

#include "base/check.h"
#include "train/data/tower_targets.h"
#include "train/data/world_looks.h"
#include "train/data/world_text.h"
#include "train/prefetch.h"
#include "train/tokenizer_training.h"
#include "world/names.h"
#include "world/objects.h"

namespace mobilevlm::train {
namespace {

const std::string kGolden = std::string(MOBILEVLM_SOURCE_DIR) + "/tests/golden/";

const world::World& TheWorld() {
  static const world::World world = [] {
    auto result = world::World::Create({.side = 144});
    MVLM_CHECK(result.has_value(), "{}", result.error().message);
    return std::move(*result);
  }();
  return world;
}

Tokenizer GoldenTokenizer() {
  auto tokenizer = LoadTokenizer(kGolden + "nano-ldpv2/hf/tokenizer.model");
  MVLM_CHECK(tokenizer.has_value(), "{}", tokenizer.error().message);
  return std::move(*tokenizer);
}

// The ids that the loss counts, as runs of neighbours.
std::vector<std::vector<int>> SupervisedRuns(const TokenSample& sample) {
  std::vector<std::vector<int>> runs;
  for (size_t t = 0; t < sample.ids.size(); ++t) {
    if (!sample.supervised[t]) continue;
    if (t == 0 || !sample.supervised[t - 1]) runs.emplace_back();
    runs.back().push_back(sample.ids[t]);
  }
  return runs;
}

TEST(TokenBatch, CollateByHand) {
  // "B" begins, "v" places of a picture, capitals are supervised:   B v v a X Y   and   B c Z
  const TokenSample first{{1, 0, 0, 10, 11, 12}, {0, 0, 0, 0, 1, 1}, {1}};
  const TokenSample second{{1, 13, 14}, {0, 0, 1}, {}};
  const TokenBatch batch = Collate(std::vector{first, second}, 2);
  EXPECT_EQ(batch.batch, 2);
  ASSERT_EQ(batch.tokens, 16);  // 6, rounded up
  const auto values = [](const torch::Tensor& t) {
    return std::vector<int64_t>(t.data_ptr<int64_t>(), t.data_ptr<int64_t>() + t.numel());
  };
  std::vector<int64_t> ids(32, 0);
  std::copy(first.ids.begin(), first.ids.end(), ids.begin());
  std::copy(second.ids.begin(), second.ids.end(), ids.begin() + 16);
  EXPECT_EQ(values(batch.ids), ids);
  EXPECT_EQ(values(batch.image_rows), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(values(batch.source_rows), (std::vector<int64_t>{3, 4, 17}));  // the rows before X, Y, Z
  EXPECT_EQ(values(batch.targets), (std::vector<int64_t>{11, 12, 14}));
  EXPECT_EQ(batch.samples, (std::vector<int>{0, 0, 1}));
}

TEST(TokenBatch, V1SupervisesAnswersAndTheirEnds) {
  const Tokenizer tokenizer = GoldenTokenizer();
  const auto sample = MakeTokenSample(tokenizer, ChatTemplate::kV1,
                                      {{"Is it red?", "Yes", 1}, {"How many?", "two dogs", 0}}, 36);
  ASSERT_TRUE(sample.has_value()) << sample.error().message;
  std::vector<int> yes = tokenizer.Encode("Yes"), dogs = tokenizer.Encode("two dogs");
  yes.push_back(tokenizer.eos());
  dogs.push_back(tokenizer.eos());
  EXPECT_EQ(SupervisedRuns(*sample), (std::vector{yes, dogs}));
  // BOS + system text + "USER: " come before the picture; "\n" and the question after it.
  const std::string before = std::string(kV1System) + " USER: ";
  EXPECT_EQ(sample->image_starts.at(0), 1 + static_cast<int>(tokenizer.Encode(before).size()));
  for (int v = 0; v < 36; ++v) EXPECT_EQ(sample->ids[static_cast<size_t>(sample->image_starts.at(0) + v)], 0);
  const size_t after = tokenizer.Encode("\nIs it red? ASSISTANT: Yes").size() + 1;
  const size_t second = tokenizer.Encode("USER: How many? ASSISTANT: two dogs").size() + 1;
  EXPECT_EQ(sample->ids.size(), static_cast<size_t>(sample->image_starts.at(0)) + 36 + after + second);
}

TEST(TokenBatch, PlainSupervisesCaptionAndNewlineButNoEnd) {
  const Tokenizer tokenizer = GoldenTokenizer();
  const auto sample = MakeTokenSample(tokenizer, ChatTemplate::kPlain, {{"", "a red dog", 1}}, 4);
  ASSERT_TRUE(sample.has_value()) << sample.error().message;
  EXPECT_EQ(sample->image_starts, std::vector<int>{1});
  EXPECT_EQ(SupervisedRuns(*sample), (std::vector<std::vector<int>>{tokenizer.Encode("a red dog\n")}));
}

TEST(WorldText, SameStateSameSampleAndWithinTheContext) {
  const Tokenizer tokenizer = GoldenTokenizer();
  const WorldText text(TheWorld(), tokenizer, 36, 400, {});
  for (uint64_t i = 0; i < 20; ++i) {
    const world::Scene scene = TheWorld().MakeScene(world::Split::kTrain, i);
    Random one(i), two(i);
    const TokenSample a = text.Dialogue(scene, 6, one), b = text.Dialogue(scene, 6, two);
    EXPECT_EQ(a.ids, b.ids);
    EXPECT_LE(a.ids.size(), 400u);
    EXPECT_FALSE(SupervisedRuns(a).empty());
    EXPECT_EQ(text.Cells(scene).size(), 36u);
  }
}

TEST(WorldText, AKindOfWeightZeroIsNeverAsked) {
  const Tokenizer tokenizer = GoldenTokenizer();
  std::map<std::string, double> weights;
  for (const std::string& kind : world::Kinds()) weights[kind] = kind == "count" ? 1.0 : 0.0;
  const WorldText text(TheWorld(), tokenizer, 36, 2000, weights);
  const world::Scene scene = TheWorld().MakeScene(world::Split::kTrain, "count", 1);
  Random random(5);
  // However often it is asked, the answer is the one number.
  const auto answers = SupervisedRuns(text.Dialogue(scene, 6, random));
  ASSERT_FALSE(answers.empty());
  for (const auto& answer : answers) EXPECT_EQ(answer, answers[0]);
}

TEST(TokenBatch, RoundsSideBySideSeeThePictureAndThemselves) {
  // Two shared ids, then rounds of two and three ids; the neighbour is an ordinary conversation.
  const TokenSample a{.ids = {1, 2, 3, 4}, .supervised = {0, 0, 0, 1}, .image_starts = {0}};
  const TokenSample b{.ids = {1, 2, 5, 6, 7}, .supervised = {0, 0, 0, 1, 1}, .image_starts = {0}};
  const TokenSample both = SideBySide(std::vector{a, b}, 2);
  EXPECT_EQ(both.ids, (std::vector<int>{1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(both.rounds, (std::vector<int>{0, 0, 1, 1, 2, 2, 2}));
  EXPECT_EQ(both.supervised, (std::vector<uint8_t>{0, 0, 0, 1, 0, 1, 1}));
  const TokenBatch batch = Collate(std::vector{both, b}, 1);
  const auto* positions = batch.positions.data_ptr<int64_t>();
  EXPECT_EQ(std::vector<int64_t>(positions, positions + 7), (std::vector<int64_t>{0, 1, 2, 3, 2, 3, 4}));
  const auto sees = [&](int64_t sample, int64_t t, int64_t other) {
    return batch.mask[sample][t][other].item<float>() == 0.0f;
  };
  EXPECT_TRUE(sees(0, 5, 1) && sees(0, 5, 4) && sees(0, 5, 5));
  EXPECT_FALSE(sees(0, 5, 2) || sees(0, 5, 3) || sees(0, 5, 6));
  EXPECT_TRUE(sees(1, 4, 2));
  EXPECT_FALSE(sees(1, 3, 4));
}

TEST(WorldText, AnInterviewIsManyConversationsOfOneRound) {
  const Tokenizer tokenizer = GoldenTokenizer();
  const WorldText text(TheWorld(), tokenizer, 36, 500, {});
  Random random(3);
  const TokenSample sample = text.Interview(TheWorld().MakeScene(world::Split::kTrain, 2), 8, random);
  ASSERT_LE(sample.ids.size(), 500u);
  EXPECT_GT(sample.rounds.back(), 1);
  // Every round ends with its answer.
  EXPECT_EQ(SupervisedRuns(sample).size(), static_cast<size_t>(sample.rounds.back()));
}

TEST(TokenBatch, LooksMoveWithTheirRounds) {
  const TokenSample a{.ids = {1, 2, 3, 4},
                      .supervised = {0, 0, 0, 1},
                      .image_starts = {0},
                      .looks = {{.layer = 0, .head = 0, .token = 2, .wanted = {1}}}};
  const TokenSample b{.ids = {1, 2, 5, 6, 7},
                      .supervised = {0, 0, 0, 1, 1},
                      .image_starts = {0},
                      .looks = {{.layer = 0, .head = 0, .token = 2, .wanted = {0, 1}},
                                {.layer = 1, .head = 0, .token = 3, .wanted = {2}}}};
  const TokenBatch batch = Collate(std::vector{SideBySide(std::vector{a, b}, 2), b}, 1);
  ASSERT_EQ(batch.tokens, 16);
  ASSERT_EQ(batch.looks.size(), 2u);
  const auto rows = [&](int layer) {
    const torch::Tensor& t = batch.looks.at(layer)[0].rows;
    return std::vector<int64_t>(t.data_ptr<int64_t>(), t.data_ptr<int64_t>() + t.numel());
  };
  EXPECT_EQ(rows(0), (std::vector<int64_t>{2, 4, 16 + 2}));
  EXPECT_EQ(rows(1), (std::vector<int64_t>{5, 16 + 3}));
  torch::Tensor wanted = torch::zeros({2, 16});
  wanted[0][4] = 1;  // b's own word, behind a's round
  wanted[1][2] = 1;
  EXPECT_TRUE(torch::equal(batch.looks.at(1)[0].wanted, wanted));
}

// Four places, in order, and a conversation about them that begins with BOS and the picture.
TokenSample About(const std::vector<int>& question, const std::vector<int>& answer) {
  TokenSample sample{.ids = {1, 0, 0, 0, 0}, .image_starts = {1}};
  sample.ids.insert(sample.ids.end(), question.begin(), question.end());
  sample.supervised.resize(sample.ids.size(), 0);
  sample.ids.insert(sample.ids.end(), answer.begin(), answer.end());
  sample.supervised.resize(sample.ids.size(), 1);
  return sample;
}

void ExpectLook(const TokenLook& look, int layer, int head, int token, const std::vector<int>& wanted,
                const std::vector<float>& shares = {}) {
  EXPECT_EQ(look.layer, layer);
  EXPECT_EQ(look.head, head);
  EXPECT_EQ(look.token, token);
  EXPECT_EQ(look.wanted, wanted);
  EXPECT_EQ(look.shares, shares);
}

// Objects whose plurals end, in this tokenizer's pieces, like no other word: it does not know the world's.
std::vector<const world::ObjectInfo*> ObjectsThatEndAlone(const Tokenizer& tokenizer) {
  std::map<int, int> endings;
  for (const char* word : {"many", "Count", "it", "centre", "."}) ++endings[LastPiece(tokenizer, word)];
  const world::Vocabulary& words = TheWorld().vocabulary();
  for (const auto* list : {&words.shapes, &words.colours}) {
    for (const std::string& word : *list) ++endings[LastPiece(tokenizer, word)];
  }
  for (const world::ObjectInfo& object : world::Objects()) {
    ++endings[LastPiece(tokenizer, std::string(object.name))];
    ++endings[LastPiece(tokenizer, world::Plural(object))];
  }
  std::vector<const world::ObjectInfo*> found;
  for (const world::ObjectInfo& object : world::Objects()) {
    if (endings.at(LastPiece(tokenizer, world::Plural(object))) == 1) found.push_back(&object);
  }
  return found;
}

TEST(WorldLooks, WordsLookAtTheCellsThatHoldThem) {
  const Tokenizer tokenizer = GoldenTokenizer();
  const WorldLooks looks(TheWorld(), tokenizer);
  const auto objects = ObjectsThatEndAlone(tokenizer);
  ASSERT_GE(objects.size(), 2u);
  const auto id = [&](const std::string& word) { return LastPiece(tokenizer, word); };
  // Questions say the plural here, which names the same cells.
  const int held = id(std::string(objects[0]->name)), shown = id(world::Plural(*objects[0])),
            absent = id(world::Plural(*objects[1]));
  ASSERT_NE(held, id(std::string(objects[1]->name)));
  const std::vector<std::vector<int>> cells = {{id(".")}, {held}, {id(".")}, {held, id("centre")}};
  TokenSample sample = About({shown, absent, 2}, {shown, 2});
  looks.Add(cells, looks.ToldThings(cells), sample);
  ASSERT_EQ(sample.looks.size(), 4u);
  ExpectLook(sample.looks[0], 0, 0, 5, {2, 4});  // what is shown
  ExpectLook(sample.looks[1], 0, 0, 6, {0});     // what is not
  ExpectLook(sample.looks[2], 1, 0, 7, {5, 6});  // where the answer begins
  ExpectLook(sample.looks[3], 2, 0, 7, {2, 4});  // it will say what is shown
}

TEST(WorldLooks, WhatIsCountedDividesItsAttentionAmongCentres) {
  const Tokenizer tokenizer = GoldenTokenizer();
  const WorldLooks looks(TheWorld(), tokenizer);
  const auto objects = ObjectsThatEndAlone(tokenizer);
  ASSERT_GE(objects.size(), 1u);
  const auto id = [&](const std::string& word) { return LastPiece(tokenizer, word); };
  const int single = id(std::string(objects[0]->name)), plural = id(world::Plural(*objects[0])),
            centre = id("centre"), other = 0, space = 0;
  // Two centres in one place, none in another that it reaches into, one beside another thing's.
  const std::vector<std::vector<int>> cells = {
      {single, centre, single, centre}, {single}, {other, centre}, {other, centre, single, centre}};
  TokenSample many = About({other, id("many"), plural, 2}, {space, 3, 2});
  looks.Add(cells, looks.ToldThings(cells), many);
  // In this tokenizer's pieces "many" ends as an object does, at token 6.
  std::erase_if(many.looks, [](const TokenLook& look) { return look.token == 6; });
  ASSERT_EQ(many.looks.size(), 6u);
  ExpectLook(many.looks[0], 1, 1, 7, {0, 1, 4}, {4.0f / 7, 2.0f / 7, 1.0f / 7});
  ExpectLook(many.looks[1], 1, 2, 7, {0, 1, 3, 4}, {4.0f / 9, 2.0f / 9, 1.0f / 9, 2.0f / 9});
  ExpectLook(many.looks[2], 1, 3, 7, {0, 3, 4}, {2.0f / 4, 1.0f / 4, 1.0f / 4});
  ExpectLook(many.looks[3], 0, 0, 7, {1, 2, 4});
  ExpectLook(many.looks[4], 1, 0, 8, {6, 7});
  ExpectLook(many.looks[5], 2, 1, 9, {7});  // the piece of space is there, the number comes next

  TokenSample count = About({id("Count"), other, plural, 2}, {space, 3, 2});
  looks.Add(cells, looks.ToldThings(cells), count);
  const auto tallies = std::count_if(count.looks.begin(), count.looks.end(), [](const TokenLook& look) {
    return look.token == 7 && !look.shares.empty();
  });
  EXPECT_EQ(tallies, 3);

  // The same word where nothing is counted.
  TokenSample sample = About({other, other, plural, 2}, {space, 3, 2});
  looks.Add(cells, looks.ToldThings(cells), sample);
  EXPECT_TRUE(std::all_of(sample.looks.begin(), sample.looks.end(),
                          [](const TokenLook& look) { return look.shares.empty(); }));
  EXPECT_EQ(sample.looks.size(), 2u);
}

TEST(WorldLooks, SeenThingsDivideThemselvesAmongTheCellsTheyCover) {
  const WorldLooks looks(TheWorld(), GoldenTokenizer());
  world::Scene scene;
  // On a grid of 4: half of the first lies in each of two cells; the second reaches a fifth of its width into
  // another column, half of its height into another row.
  scene.things = {
      {.kind = world::ThingKind::kObject, .name = 3, .x = 0.5f, .y = 0.125f, .w = 0.2f, .h = 0.1f},
      {.kind = world::ThingKind::kShape, .name = 3, .x = 0.825f, .y = 0.5f, .w = 0.25f, .h = 0.2f}};
  const std::vector<ThingInCell> things = looks.SeenThings(scene, 4);
  const int word = LastPiece(GoldenTokenizer(), TheWorld().vocabulary().objects[3]);
  const std::vector<ThingInCell> wanted = {{1, word, 0.5f},      {2, word, 0.5f},      {1 * 4 + 2, 0, 0.1f},
                                           {1 * 4 + 3, 0, 0.4f}, {2 * 4 + 2, 0, 0.1f}, {2 * 4 + 3, 0, 0.4f}};
  ASSERT_EQ(things.size(), wanted.size());
  for (size_t i = 0; i < things.size(); ++i) {
    EXPECT_EQ(things[i].cell, wanted[i].cell) << i;
    EXPECT_EQ(things[i].word, wanted[i].word) << i;
    EXPECT_NEAR(things[i].share, wanted[i].share, 1e-5) << i;
  }
  // One cell holds everything.
  for (const ThingInCell& thing : looks.SeenThings(scene, 1)) {
    EXPECT_EQ(thing.cell, 0);
    EXPECT_EQ(thing.share, 1);
  }
}

// Of the picture's only thing.
float PixelsOf(const world::Scene& scene) {
  const auto labels = TheWorld().Render(scene).labels;
  return static_cast<float>(std::count(labels.thing.begin(), labels.thing.end(), 0));
}

TEST(TowerTargets, OneShapeByHand) {
  // A shape in the middle of the picture, half the side wide, on a grid of 12 patches of 12 pixels.
  world::Scene scene;
  scene.type = world::SceneType::kObjects;
  scene.style = 4;
  scene.things = {{.kind = world::ThingKind::kShape,
                   .name = 0,
                   .colour = 3,
                   .x = 0.5f + 1.0f / 24,  // the middle of patch 6
                   .y = 0.5f + 1.0f / 24,
                   .w = 0.5f,
                   .h = 0.5f}};
  const ImageConfig image{.image_size = 144, .mean = {0.5f, 0.5f, 0.5f}, .std = {0.5f, 0.5f, 0.5f}};
  const CoverClasses classes(TheWorld().vocabulary());
  const TowerBatch batch = MakeTowerBatch(TheWorld(), std::vector{scene}, image, 12);
  const int64_t middle = 6 * 12 + 6;
  const auto at = [](const torch::Tensor& t, int64_t i) { return t[i].item<int64_t>(); };
  EXPECT_EQ(at(batch.cover, middle), classes.objects);
  EXPECT_EQ(at(batch.colour, middle), 3);
  EXPECT_EQ(at(batch.centre, middle), classes.objects);
  EXPECT_EQ(at(batch.value, middle), 0);
  EXPECT_NEAR(batch.offsets[middle][0].item<float>(), 0.0f, 1e-4);
  EXPECT_NEAR(batch.offsets[middle][2].item<float>(), 0.5f / kOffsetUnit, 1e-4);
  // One patch to the right: the centre lies 1/12 of the side to the left.
  EXPECT_NEAR(batch.offsets[middle + 1][0].item<float>(), -1.0f / 12 / kOffsetUnit, 1e-4);
  // The corner is background, and only one patch holds a centre.
  EXPECT_EQ(at(batch.cover, 0), classes.background());
  EXPECT_EQ(at(batch.colour, 0), classes.no_colour());
  EXPECT_EQ(batch.centre.ne(classes.background()).sum().item<int64_t>(), 1);
  EXPECT_LE(batch.pixels.abs().max().item<float>(), 1.0f);
  // The shape divides itself among the patches by its pixels.
  EXPECT_NEAR(batch.shares.sum().item<float>(), 1.0f, 1e-5);
  EXPECT_NEAR(batch.shares[middle].item<float>(), 144.0f / PixelsOf(scene), 1e-5);
  EXPECT_EQ(batch.shares[0].item<float>(), 0.0f);
}

TEST(TokenizerTraining, CorpusNeverHoldsTwoCapitalsTogetherExceptTheTemplates) {
  const TokenizerOptions options{.vocabulary = 2048, .scenes = 50, .seed = 1};
  const auto capital = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  for (const std::string& line : TokenizerCorpus(TheWorld(), options)) {
    if (line == "USER:" || line == "ASSISTANT:") continue;
    for (size_t i = 1; i < line.size(); ++i) {
      ASSERT_FALSE(capital(line[i - 1]) && capital(line[i])) << line;
    }
  }
}

TEST(Prefetcher, KeepsTheOrderWithSeveralThreadsAndRethrows) {
  Prefetcher<int64_t> squares(3, 50, 3, 8, [](int64_t i) { return i * i; });
  for (int64_t i = 3; i < 50; ++i) EXPECT_EQ(squares.Next(), i * i);

  Prefetcher<int> failing(0, 5, 1, 2, [](int64_t) -> int { throw std::runtime_error("no batch"); });
  EXPECT_THROW(failing.Next(), std::runtime_error);
  // One that nobody reads must still end.
  const Prefetcher<int> unread(0, 1000000, 2, 4, [](int64_t i) { return static_cast<int>(i); });
}

}  // namespace
}  // namespace mobilevlm::train
