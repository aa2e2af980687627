#include "data/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/question_kind.h"
#include "data/record_splitter.h"
#include "data/test_support.h"

namespace mobilevlm::data {
namespace {

using ::testing::HasSubstr;

Sample Parse(const std::string& json) {
  SampleParser parser;
  auto sample = parser.Parse(json);
  EXPECT_TRUE(sample.has_value()) << json;
  return sample ? *sample : Sample{};
}

std::string Conversation(const std::string& turns, const std::string& image = R"("image": "a/b.jpg", )") {
  return "{" + image + R"("id": "s1", "conversations": [)" + turns + "]}";
}
std::string Human(const std::string& text) { return R"({"from": "human", "value": ")" + text + "\"}"; }
std::string Gpt(const std::string& text) { return R"({"from": "gpt", "value": ")" + text + "\"}"; }

TEST(Sample, TheExampleOfTheFormat) {
  const Sample sample = Parse(
      R"({"id":"a1","image":"coco/train2017/0001.jpg","extra":{"x":[1,"]}"]},"conversations":[)"
      R"({"from":"human","value":"<image>\nWhich animal is this?\nAnswer shortly."},{"from":"gpt","value":"Otter \"\u00e4\""}]})");
  EXPECT_EQ(sample.defect, Defect::kNone) << sample.detail;
  EXPECT_EQ(sample.id, "a1");
  EXPECT_EQ(sample.images, std::vector<std::string>{"coco/train2017/0001.jpg"});
  ASSERT_EQ(sample.turns.size(), 1u);
  EXPECT_EQ(sample.turns[0].user, "<image>\nWhich animal is this?\nAnswer shortly.");
  EXPECT_EQ(sample.turns[0].assistant, "Otter \"\u00e4\"");
  EXPECT_EQ(sample.turns[0].images, 1);
  EXPECT_EQ(sample.words, 9u);  // Python's split, the mark is a word
  EXPECT_EQ(sample.answer_words, 2u);
}

TEST(Sample, TextOnlyAndNumbersAsIds) {
  const Sample sample =
      Parse(R"({"id": 17, "image": null, "conversations": [)" + Human("Hi") + "," + Gpt("Ho") + "]}");
  EXPECT_EQ(sample.id, "17");
  EXPECT_TRUE(sample.images.empty());
  EXPECT_EQ(sample.turns[0].images, 0);
  EXPECT_EQ(sample.defect, Defect::kNone);
}

// preprocess_multimodal: the mark is cut out and put in front.
TEST(Sample, OneMarkMovesToTheFront) {
  for (const char* text : {"What is this? <image>", "<image> What is this?", "<image>What is this?",
                           "<image>\\nWhat is <image>this?"}) {
    const Sample sample = Parse(Conversation(Human(text) + "," + Gpt("A cat")));
    EXPECT_EQ(sample.defect, Defect::kNone) << sample.detail;
    EXPECT_EQ(sample.turns[0].user, "<image>\nWhat is this?") << text;
    EXPECT_EQ(sample.turns[0].images, 1);
  }
  // Also in a later turn.
  const Sample later =
      Parse(Conversation(Human("Hi") + "," + Gpt("Ho") + "," + Human("And <image> this?") + "," + Gpt("x")));
  EXPECT_EQ(later.turns[0].images, 0);
  EXPECT_EQ(later.turns[1].images, 1);
  EXPECT_EQ(later.turns[1].user, "<image>\nAnd  this?");
}

TEST(Sample, SeveralPictures) {
  const std::string two = R"("image": ["a.jpg", "b.jpg"], )";
  const Sample together = Parse(Conversation(Human("<image> or <image>?") + "," + Gpt("x"), two));
  EXPECT_EQ(together.defect, Defect::kNone) << together.detail;
  EXPECT_EQ(together.turns[0].user, "<image> or <image>?");  // their places mean something
  EXPECT_EQ(together.turns[0].images, 2);
  const Sample apart =
      Parse(Conversation(Human("<image>a") + "," + Gpt("x") + "," + Human("b<image>") + "," + Gpt("y"),
                         R"("images": ["a.jpg", "b.jpg"], )"));
  EXPECT_EQ(apart.turns[0].images, 1);
  EXPECT_EQ(apart.turns[1].user, "<image>\nb");
  const Sample unmarked = Parse(Conversation(Human("Compare.") + "," + Gpt("x"), two));
  EXPECT_EQ(unmarked.turns[0].images, 2);
  EXPECT_EQ(unmarked.notes, kNotePlacedPicture);
  EXPECT_EQ(Parse(Conversation(Human("<image>") + "," + Gpt("x"), two)).defect, Defect::kPictureWithoutMark);
}

TEST(Sample, DefectsAreNamed) {
  const struct {
    std::string json;
    Defect defect;
    std::string detail;
  } cases[] = {
      {Conversation(Human("a") + "," + Human("b")), Defect::kWrongRoles,
       "turn 2: wanted \"from\": \"gpt\", found 'human'"},
      {Conversation(Human("a") + "," + Gpt("b") + "," + Gpt("c")), Defect::kWrongRoles, "turn 3"},
      {Conversation(R"({"from": "system", "value": "x"})"), Defect::kWrongRoles, "'system'"},
      {Conversation(Human("<image>")), Defect::kNoAnswer, "question 1 has no answer"},
      {Conversation(Human("<image>") + "," + Gpt(" \\n")), Defect::kNoAnswer, "turn 2 is an empty answer"},
      {Conversation(""), Defect::kNoAnswer, "nobody asks"},
      {Conversation(Human("<image>?") + "," + Gpt("x"), ""), Defect::kMarkWithoutPicture,
       "1 <image> mark(s), 0 picture(s)"},
      {Conversation(Human("<image>?") + "," + Gpt("x") + "," + Human("<image>") + "," + Gpt("y")),
       Defect::kMarkWithoutPicture, "2 <image> mark(s), 1 picture(s)"},
      {Conversation(Human("<image>?") + "," + Gpt("see <image>")), Defect::kMarkInAnswer, "turn 2"},
      {Conversation(R"({"from": "human"})"), Defect::kBadField, "turn 1 has no text in \"value\""},
      {Conversation(R"({"value": "x"})"), Defect::kBadField, "turn 1 has no \"from\""},
      {Conversation("7"), Defect::kBadField, "turn 1 is no object"},
      {R"({"id": "x", "conversations": "y"})", Defect::kBadField, "no list"},
      {R"({"id": "x"})", Defect::kBadField, "\"conversations\" is missing"},
      {R"({"image": 7, "conversations": []})", Defect::kBadField,
       "wanted a path or a list of paths, found '7'"},
  };
  for (const auto& c : cases) {
    const Sample sample = Parse(c.json);
    EXPECT_EQ(sample.defect, c.defect) << c.json << sample.detail;
    EXPECT_THAT(sample.detail, HasSubstr(c.detail)) << c.json;
  }
}

TEST(Sample, ConversationThatBeginsWithAnAnswerLosesIt) {
  const Sample sample = Parse(Conversation(Gpt("Hello") + "," + Human("<image>a") + "," + Gpt("b")));
  EXPECT_EQ(sample.defect, Defect::kNone) << sample.detail;
  EXPECT_EQ(sample.turns.size(), 1u);
  EXPECT_EQ(sample.notes, kNoteDroppedFirstTurn);
}

TEST(Sample, QuestionOfAnEvaluationFile) {
  const Sample sample =
      Parse(R"({"question_id": 905, "image": "x.jpg", "text": "What is this?", "category": "a"})");
  EXPECT_EQ(sample.id, "905");
  EXPECT_EQ(sample.defect, Defect::kNoAnswer);
  ASSERT_EQ(sample.turns.size(), 1u);
  EXPECT_EQ(sample.turns[0].user, "What is this?");
}

TEST(Sample, RewriteChangesPicturesOnly) {
  SampleParser parser;
  const std::string json = R"({ "id": 1, "image": "a.jpg", "score": 0.5, "text": "q\"\n\u00e4" })";
  const std::vector<std::string> one = {"x/\"a.jpg"}, two = {"a", "b"};
  EXPECT_EQ(*parser.Rewrite(json, nullptr),
            "{\"id\":1,\"image\":\"a.jpg\",\"score\":0.5,\"text\":\"q\\\"\\n\u00e4\"}");
  EXPECT_EQ(*parser.Rewrite(json, &one),
            "{\"id\":1,\"image\":\"x/\\\"a.jpg\",\"score\":0.5,\"text\":\"q\\\"\\n\u00e4\"}");
  EXPECT_EQ(*parser.Rewrite(json, &two),
            "{\"id\":1,\"image\":[\"a\",\"b\"],\"score\":0.5,\"text\":\"q\\\"\\n\u00e4\"}");
  // Pictures of both fields are one list, which is written once.
  EXPECT_EQ(*parser.Rewrite(R"({"image": "x", "id": 1, "images": ["y"]})", &two),
            R"({"image":["a","b"],"id":1})");
  EXPECT_EQ(*parser.Rewrite(R"({"image": "x", "images": ["y"]})", nullptr),
            R"({"image":"x","images":["y"]})");
}

TEST(QuestionKind, FromTheWording) {
  const auto kind = [](const std::string& question, const std::string& answer, uint32_t words) {
    Sample sample;
    sample.turns = {{question, answer, 1}};
    sample.answer_words = words;
    return std::string(QuestionKind(sample));
  };
  EXPECT_EQ(kind("<image>\nHow many cats?", "2", 1), "count");
  EXPECT_EQ(kind("<image>\nIs it red?", "Yes", 1), "yes or no");
  EXPECT_EQ(
      kind("<image>\nWho?\nA. x\nB. y\nAnswer with the option's letter from the given choices directly.", "A",
           1),
      "choice");
  EXPECT_EQ(kind("<image>\nDescribe the image.", "A long street with many people", 20), "caption");
  EXPECT_EQ(kind("<image>", "a dog", 2), "caption");
  EXPECT_EQ(kind("<image>\nWhat color is it?", "red", 1), "colour");
  EXPECT_EQ(kind("<image>\nWho is it?", "Bob", 1), "short answer");
  Sample own;
  own.kind = "chart";
  EXPECT_EQ(QuestionKind(own), "chart");
}

// All objects of the text, or "byte: message".
std::string Split(const std::string& text) {
  RecordSplitter splitter(text);
  std::string out;
  for (;;) {
    const auto range = splitter.Next();
    if (!range) return fmt::format("{}: {}", range.error().byte, range.error().message);
    if (!*range) return out;
    out += text.substr((*range)->offset, (*range)->size) + "|";
  }
}

TEST(RecordSplitter, ListsAndLines) {
  EXPECT_EQ(Split(R"([{"a":1}, {"b":[{}]} ])"), R"({"a":1}|{"b":[{}]}|)");
  EXPECT_EQ(Split("\xEF\xBB\xBF [\n{}\n]\n"), "{}|");
  EXPECT_EQ(Split("{\"a\":1}\n{\"b\":2}\r\n\n"), "{\"a\":1}|{\"b\":2}|");
  EXPECT_EQ(Split(R"([{"a":"}]\"{\\"},{"b":"\\\\"}])"), R"({"a":"}]\"{\\"}|{"b":"\\\\"}|)");
  EXPECT_EQ(Split("[]"), "");
}

TEST(RecordSplitter, ErrorsNameTheByte) {
  EXPECT_EQ(Split(""), "0: wanted a list of samples, found the end of the file");
  EXPECT_EQ(Split("hello"), "0: wanted a list of samples, found 'h'");
  EXPECT_EQ(Split("[{} {}]"), "4: wanted ',' or ']', found '{'");
  EXPECT_EQ(Split("[{}"), "3: wanted ',' or ']', found the end of the file");
  EXPECT_EQ(Split("[{},]"), "4: wanted a sample, '{', found ']'");
  EXPECT_EQ(Split("[1]"), "1: wanted a sample, '{', found '1'");
  EXPECT_EQ(Split("[{}] x"), "5: wanted nothing behind the list, found 'x'");
  EXPECT_THAT(Split(R"([{"a": 1}, {"b": "no end}])"), testing::StartsWith("26: "));
}

TEST(SampleParser, SyntaxErrorsNameTheByte) {
  SampleParser parser;
  const auto error = [&](const std::string& json) { return parser.Parse(json).error().byte; };
  EXPECT_EQ(error(R"({"a": 1 "b": 2})"), 10u);
  EXPECT_EQ(error("{\"a\": \"\xFF\"}"), 7u);
  EXPECT_EQ(error(R"({"a": tru})"), 9u);
}

}  // namespace
}  // namespace mobilevlm::data
