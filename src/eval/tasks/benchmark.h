// A benchmark as it is asked: its questions, whatever files they came from.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "eval/metrics/labels.h"
#include "mobilevlm/mobilevlm.h"

namespace mobilevlm::eval {

// Where the picture of a question comes from. Nothing is read before Open().
struct ImageSource {
  std::string name;                       // path, or what an error calls it; equal names are the same picture
  bool is_file = true;                    // `name` is a path
  std::function<Result<Picture>()> make;  // where it is no file

  Result<Picture> Open() const { return is_file ? Picture::FromFile(name) : make(); }
};

// How a question is put.
enum class AskMode {
  kGenerate,           // the answer, greedy
  kYesProbability,     // generate, and the probability of yes against no for the first id
  kCaptionLikelihood,  // the log-likelihood of Question::caption, with and without the picture
};

struct Question {
  std::string id;            // question_id of the answer file
  bool id_is_number = true;  // it is written without quotes
  std::string prompt;        // without the mark of the picture
  std::optional<ImageSource> image;
  std::vector<std::string> references;
  std::vector<std::string> raw_references = {};  // OK-VQA: before stemming
  Options options = {};                          // of a multiple choice; letters of lost ones are not there
  std::string caption = {};                      // of kCaptionLikelihood
  // Questions that only count together stand together and share a group: rotations, pairs. Empty: alone.
  std::string group = {};
  std::string subset = {};  // what a score needs to tell apart: split, category
  std::string metric = {};  // of the task `custom`
  std::vector<std::pair<std::string, std::string>> labels = {};  // of the breakdowns: dimension, value
  std::string where = {};                                        // file and row, for errors

  // The value of a breakdown's dimension, "" if the question has none.
  std::string_view Label(std::string_view dimension) const;
  // What the prompt lists: the options up to the first that is lost.
  Options ListedOptions() const;
};

struct Benchmark {
  std::string task;
  std::string variant;  // what distinguishes it from other runs of the task: "with OCR tokens"
  std::vector<Question> questions;
  AskMode mode = AskMode::kGenerate;
  int max_tokens = 128;
  ImageFit fit = ImageFit::kPad;
  std::vector<std::string> notes;  // what a reader of the scores must know: "3 rows without their picture"
  // How this differs from the protocol of the published figures: "split val". None: it is that protocol.
  std::vector<std::string> deviations = {};
};

enum class OnMissing { kFail, kSkip };

enum class VlcScoring { kYesProbability, kGenerated, kLikelihood, kTwoChoice };

// What a loader is told. Which files `data` must hold is said by Task::files.
struct TaskOptions {
  std::string data;   // directory, or the one file of tasks that have one
  std::string split;  // empty: the task's own
  std::string
      questions;  // a LLaVA question file that chooses and words the questions; empty: the official files
  bool ocr_tokens = true;   // TextVQA
  uint64_t per_kind = 400;  // mini world
  VlcScoring vlc_scoring = VlcScoring::kYesProbability;
  OnMissing on_missing = OnMissing::kFail;
};

}  // namespace mobilevlm::eval
