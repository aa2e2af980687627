// Finding and reading the files of a benchmark, and the wording that prompts share.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "eval/json_row.h"
#include "eval/tasks/answers.h"
#include "eval/tasks/benchmark.h"

namespace mobilevlm::eval {

inline constexpr std::string_view kShortAnswer = "\nAnswer the question using a single word or phrase.";
inline constexpr std::string_view kOptionLetter =
    "\nAnswer with the option's letter from the given choices directly.";

// Whether there is something at `path` that can be reached: not behind a loop of links, for example.
bool Exists(const std::filesystem::path& path);

// The first of `names` that exists below `directory` (or is `directory` itself, if that is a file); an Error
// lists them all.
Result<std::string> FindFile(const std::string& directory, const std::vector<std::string>& names);

// A picture below `directory`, in the first of `folders` that has it; otherwise in the first of them, where
// it will be missed when it is opened.
ImageSource ImageIn(const std::string& directory, const std::vector<std::string>& folders,
                    const std::string& name);

// "question\nA. first\nB. second", then the instruction; a hint goes in front.
std::string MultipleChoicePrompt(std::string_view hint, std::string_view question, const Options& options);

// The rows of a LLaVA question file: {"question_id", "image", "text", "category"}.
struct QuestionRow {
  std::string id;
  std::string image, text, category;
  std::string where;
};
Result<std::vector<QuestionRow>> ReadQuestionFile(const std::string& path);

// Applies --questions: keeps the questions that the file names, in its order and with its ids and wording.
// Rows are found by (image, question) or by id; a row that the benchmark does not have is an Error.
Status ApplyQuestionFile(const std::string& path, Benchmark& benchmark);

// Questions about one picture next to each other, each picture where it appears first: its visual tokens are
// then computed once.
void GroupByPicture(std::vector<Question>& questions);

// Checks that the files of all pictures exist. kFail: the first that does not is an Error. kSkip: its
// questions (and those of their group) are dropped, and a note counts them.
Status CheckPictures(OnMissing on_missing, Benchmark& benchmark);

// After the questions were asked, for kSkip: drops those without an answer whose pictures are `unreadable`
// (and those of their group, with what was answered), and a note counts them.
void LeaveOutUnanswered(const std::function<bool(const Question&)>& unreadable, Benchmark& benchmark,
                        Answers& answers);

}  // namespace mobilevlm::eval
