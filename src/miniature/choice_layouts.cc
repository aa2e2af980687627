// Benchmarks of multiple choice: ScienceQA, MMBench, SEED-Bench.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/base64.h"
#include "image/png_write.h"
#include "miniature/layout.h"

namespace mobilevlm::miniature {
namespace {

using nlohmann::ordered_json;

// "What is this?\nA. dog\nB. cat\n..." taken apart.
struct Choice {
  std::string question;
  std::vector<std::string> options;
  size_t answer = 0;
};

Choice TakeApart(const world::Question& asked) {
  Choice choice;
  choice.answer = static_cast<size_t>(asked.answer[0] - 'A');
  std::string_view rest = asked.question;
  const size_t line = rest.find('\n');
  choice.question = rest.substr(0, line);
  rest.remove_prefix(line);
  constexpr size_t kMark = 4;  // "\nA. "
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n', 1), rest.size());
    choice.options.emplace_back(rest.substr(kMark, end - kMark));
    rest.remove_prefix(end);
  }
  return choice;
}

}  // namespace

Status WriteScienceQa(const Layout& layout) {
  ordered_json problems = ordered_json::object(), ids = ordered_json::array();
  const auto add = [&](const std::string& id, ordered_json row) {
    row["split"] = "test";
    problems[id] = std::move(row);
    ids.push_back(id);
  };
  for (int i = 0; i < layout.rows; ++i) {
    const world::Sample sample = layout.Sample("choice", i);
    const Choice choice = TakeApart(sample.question);
    const std::string id = std::to_string(7 + i);
    MVLM_TRY(layout.Picture(sample.scene, "images/test/" + id + "/image.png"));
    add(id, {{"question", choice.question},
             {"choices", choice.options},
             {"answer", choice.answer},
             {"hint", i % 2 == 0 ? "" : "Look at the picture."},
             {"image", "image.png"},
             {"task", "closed choice"},
             {"grade", i % 2 == 0 ? "grade2" : "grade8"},
             {"subject", "natural science"},
             {"topic", "biology"},
             {"category", "Classification"},
             {"skill", "Identify"}});
  }
  add("900", {{"question", "Which is larger?"},  // rows without a picture are asked without
              {"choices", {"a mouse", "a horse"}},
              {"answer", 1},
              {"hint", ""},
              {"image", nullptr},
              {"grade", "grade1"},
              {"subject", "language science"},
              {"topic", "vocabulary"}});
  MVLM_TRY(layout.Json("problems.json", problems));
  return layout.Json("pid_splits.json", {{"train", ordered_json::array()}, {"test", ids}});
}

Status WriteMmBench(const Layout& layout) {
  std::string text =
      "index\tquestion\thint\tA\tB\tC\tD\tanswer\tcategory\timage\tsource\tl2-category\tcomment\tsplit\n";
  std::string rotated;
  for (int i = 0; i < layout.rows; ++i) {
    const world::Sample sample = layout.Sample("choice", 50 + i);
    Choice choice = TakeApart(sample.question);
    MVLM_ASSIGN(const std::string png, EncodePng(layout.world.Render(sample.scene).picture));
    const std::string picture = EncodeBase64(png);
    // As in the official files, some questions have fewer rotations than options, and cells hold line ends.
    const int rotations = i % 4 == 3 ? 3 : 4;
    const std::string hint = i % 3 == 1 ? "\"One thing is shown.\nIt is \"\"drawn\"\".\"" : "";
    for (int r = 0; r < rotations; ++r) {
      std::string& to = r == 0 ? text : rotated;
      to += fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\tmini world\t{}\t\tdev\n", 7 + i + 1'000'000 * r,
                        choice.question, hint, fmt::join(choice.options, "\t"),
                        static_cast<char>('A' + choice.answer),
                        i % 2 == 0 ? "object_localization" : "attribute_recognition", picture,
                        i % 2 == 0 ? "finegrained_perception (instance-level)" : "coarse_perception");
      // The last option moves to the front.
      std::rotate(choice.options.rbegin(), choice.options.rbegin() + 1, choice.options.rend());
      choice.answer = (choice.answer + 1) % choice.options.size();
    }
  }
  return layout.Text("mmbench_dev_en_20231003.tsv", text + rotated);
}

Status WriteSeedBench(const Layout& layout) {
  ordered_json questions = ordered_json::array();
  for (int i = 0; i < layout.rows; ++i) {
    const world::Sample sample = layout.Sample("choice", 100 + i);
    const Choice choice = TakeApart(sample.question);
    const std::string image = std::to_string(1454426 + i) + "_2591111986";
    MVLM_TRY(layout.Picture(sample.scene, "SEED-Bench-image/" + image));
    questions.push_back({{"question_id", std::to_string(101669 + i)},
                         {"question_type_id", i % 2 == 0 ? 2 : 1},
                         {"data_type", "image"},
                         {"data_id", image},
                         {"question", choice.question},
                         {"choice_a", choice.options[0]},
                         {"choice_b", choice.options[1]},
                         {"choice_c", choice.options[2]},
                         {"choice_d", choice.options[3]},
                         {"answer", std::string(1, static_cast<char>('A' + choice.answer))}});
  }
  ordered_json video = questions[0];
  video["question_id"] = "v1";
  video["question_type_id"] = 10;
  video["data_type"] = "video";
  questions.push_back(std::move(video));
  return layout.Json("SEED-Bench.json",
                     {{"questions", questions},
                      {"question_type",
                       {{"Scene Understanding", 1}, {"Instance Identity", 2}, {"Action Recognition", 10}}}});
}

}  // namespace mobilevlm::miniature
