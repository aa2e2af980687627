// Benchmarks with open answers: GQA, TextVQA, DocVQA, ChartQA, OK-VQA, VizWiz, custom.
#include <nlohmann/json.hpp>

#include "miniature/layout.h"

namespace mobilevlm::miniature {
namespace {

using nlohmann::ordered_json;

constexpr int kAnswers = 10;

// The same answer from most of ten people, and two that say something else.
ordered_json TenAnswers(const std::string& answer) {
  ordered_json answers = ordered_json::array();
  for (int i = 0; i < kAnswers; ++i) answers.push_back(i < 8 ? answer : "thing");
  return answers;
}

}  // namespace

Status WriteGqa(const Layout& layout) {
  struct Type {
    const char *kind, *structural, *semantic;
  };
  constexpr Type kTypes[] = {{"presence", "verify", "obj"},
                             {"colour", "query", "attr"},
                             {"relation", "verify", "rel"},
                             {"where", "query", "rel"},
                             {"name", "query", "obj"}};
  ordered_json questions = ordered_json::object();
  int id = 7000;
  for (const Type& type : kTypes) {
    for (int i = 0; i < layout.rows; ++i, ++id) {
      const world::Sample sample = layout.Sample(type.kind, i);
      const std::string image = fmt::format("n{}", id);
      MVLM_TRY(layout.Picture(sample.scene, "images/" + image + ".jpg"));
      questions[std::to_string(id)] = {
          {"question", sample.question.question},
          {"imageId", image},
          {"answer", sample.question.answer},
          {"fullAnswer", sample.question.answer + "."},
          {"isBalanced", true},
          {"groups", {{"global", type.kind}, {"local", fmt::format("01-{}", type.kind)}}},
          {"types", {{"structural", type.structural}, {"semantic", type.semantic}, {"detailed", type.kind}}},
          {"semantic",
           {{{"operation", "select"}, {"dependencies", ordered_json::array()}, {"argument", "scene"}}}},
          {"semanticStr", "select: scene"},
          {"entailed", ordered_json::array()},
          {"equivalent", {std::to_string(id)}}};
    }
  }
  questions["6999"] = questions["7000"];  // one that must be left out
  questions["6999"]["isBalanced"] = false;
  return layout.Json("testdev_balanced_questions.json", questions);
}

Status WriteTextVqa(const Layout& layout) {
  ordered_json data = ordered_json::array(), ocr = ordered_json::array();
  for (int i = 0; i < layout.rows; ++i) {
    const world::Sample sample = layout.Sample("text", i);
    const std::string image = fmt::format("00aa11bb22cc33{:02x}", i);
    MVLM_TRY(layout.Picture(sample.scene, "train_images/" + image + ".jpg"));
    const auto row = [&](const std::string& question, int id) {
      data.push_back({{"question", question},
                      {"image_id", image},
                      {"image_classes", {"Text"}},
                      {"image_width", 144},
                      {"image_height", 144},
                      {"answers", TenAnswers(sample.question.answer)},
                      {"question_id", id},
                      {"set_name", "val"}});
    };
    row(sample.question.question, 9000 + 2 * i);
    row("what is written here?", 9001 + 2 * i);  // two questions share an image id
    ordered_json tokens = ordered_json::array();
    if (i % 3 != 2) tokens = {sample.question.answer, "144"};
    ocr.push_back({{"image_id", image}, {"ocr_tokens", tokens}});
  }
  MVLM_TRY(layout.Json("TextVQA_Rosetta_OCR_v0.2_val.json", {{"data", ocr}}));
  return layout.Json(
      "TextVQA_0.5.1_val.json",
      {{"dataset_type", "val"}, {"dataset_name", "textvqa"}, {"dataset_version", "0.5.1"}, {"data", data}});
}

Status WriteDocVqa(const Layout& layout) {
  ordered_json data = ordered_json::array();
  for (int i = 0; i < layout.rows; ++i) {
    const world::Sample sample = layout.Sample("text", 100 + i);
    const std::string image = fmt::format("documents/abcd{:04}_1.png", i);
    MVLM_TRY(layout.Picture(sample.scene, image));
    data.push_back({{"questionId", 101 + i},
                    {"question", sample.question.question},
                    {"question_types", {i % 2 == 0 ? "handwritten" : "layout"}},
                    {"image", image},
                    {"docId", i},
                    {"ucsf_document_id", fmt::format("abcd{:04}", i)},
                    {"ucsf_document_page_no", "1"},
                    {"answers", {sample.question.answer, sample.question.answer + "."}},
                    {"data_split", "val"}});
  }
  return layout.Json(
      "val_v1.0.json",
      {{"dataset_name", "docvqa"}, {"dataset_version", "1.0"}, {"dataset_split", "val"}, {"data", data}});
}

Status WriteChartQa(const Layout& layout) {
  int index = 0;
  for (const std::string split : {"human", "augmented"}) {
    ordered_json rows = ordered_json::array();
    for (int i = 0; i < layout.rows; ++i, ++index) {
      const world::Sample sample = layout.Sample("chart", index);
      const std::string image = std::to_string(160 + index) + ".png";
      MVLM_TRY(layout.Picture(sample.scene, "test/png/" + image));
      rows.push_back(
          {{"imgname", image}, {"query", sample.question.question}, {"label", sample.question.answer}});
    }
    MVLM_TRY(layout.Json("test/test_" + split + ".json", rows));
  }
  return {};
}

Status WriteOkVqa(const Layout& layout) {
  ordered_json questions = ordered_json::array(), annotations = ordered_json::array();
  for (int i = 0; i < layout.rows; ++i) {
    const world::Sample sample = layout.Sample(i % 2 == 0 ? "fact" : "name", i);
    const int image = 90 + i, id = 10 * image + 5;
    MVLM_TRY(layout.Picture(sample.scene, fmt::format("val2014/COCO_val2014_{:012}.jpg", image)));
    questions.push_back({{"image_id", image}, {"question", sample.question.question}, {"question_id", id}});
    ordered_json answers = ordered_json::array();
    for (int person = 0; person < kAnswers; ++person) {
      const std::string answer = person < 8 ? sample.question.answer : "thing";
      answers.push_back({{"answer_id", person + 1},
                         {"raw_answer", answer},
                         {"answer_confidence", "yes"},
                         {"answer", answer}});
    }
    annotations.push_back({{"image_id", image},
                           {"question_id", id},
                           {"answer_type", "other"},
                           {"question_type", i % 2 == 0 ? "eight" : "three"},
                           {"confidence", 3},
                           {"answers", answers}});
  }
  MVLM_TRY(layout.Json("OpenEnded_mscoco_val2014_questions.json",
                       {{"task_type", "Open-Ended"}, {"data_subtype", "val2014"}, {"questions", questions}}));
  return layout.Json("mscoco_val2014_annotations.json", {{"annotations", annotations}});
}

Status WriteVizWiz(const Layout& layout) {
  ordered_json rows = ordered_json::array();
  for (int i = 0; i < layout.rows; ++i) {
    const world::Sample sample = layout.Sample("name", 200 + i);
    const std::string image = fmt::format("VizWiz_val_{:08}.jpg", i);
    MVLM_TRY(layout.Picture(sample.scene, "val/" + image));
    const bool answerable = i % 4 != 3;
    ordered_json answers = ordered_json::array();
    for (const auto& answer : TenAnswers(answerable ? sample.question.answer : "unanswerable")) {
      answers.push_back({{"answer", answer}, {"answer_confidence", "yes"}});
    }
    rows.push_back({{"image", image},
                    {"question", answerable ? sample.question.question : "what is the price?"},
                    {"answers", answers},
                    {"answer_type", answerable ? "other" : "unanswerable"},
                    {"answerable", answerable ? 1 : 0}});
  }
  return layout.Json("val.json", rows);
}

Status WriteCustom(const Layout& layout) {
  ordered_json rows = ordered_json::array();
  for (int i = 0; i < layout.rows; ++i) {
    const world::Sample sample = layout.Sample(i % 2 == 0 ? "count" : "shape", i);
    const std::string image = fmt::format("pictures/{:03}.png", i);
    MVLM_TRY(layout.Picture(sample.scene, image));
    ordered_json row = {{"id", fmt::format("q{}", i)},
                        {"image", image},
                        {"question", sample.question.question},
                        {"answers", {sample.question.answer}},
                        {"category", sample.question.kind}};
    if (i % 2 == 0) row["metric"] = "chartqa_relaxed";
    rows.push_back(std::move(row));
  }
  return layout.JsonLines("questions.jsonl", rows);
}

}  // namespace mobilevlm::miniature
