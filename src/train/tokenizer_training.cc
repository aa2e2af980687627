#include "train/tokenizer_training.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <cstring>
#include <filesystem>
#include <random>

#include "base/atomic_file.h"
#include "base/random.h"
#include "base/read_file.h"
#include "text/conversation.h"

namespace mobilevlm::train {
namespace {

constexpr int kWordRepeats = 200;
constexpr int kFrameRepeats = 2000;  // the words of the template
constexpr uint64_t kLargestModel = 16 << 20;

bool IsCharacter(char c) {
  return std::isupper(static_cast<unsigned char>(c)) || std::isdigit(static_cast<unsigned char>(c));
}

// "reads K7" -> "reads K 7"
std::string SpreadCharacters(const std::string& text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    result += text[i];
    if (i + 1 < text.size() && IsCharacter(text[i]) && IsCharacter(text[i + 1])) result += ' ';
  }
  return result;
}

std::vector<std::string> Words(const world::World& world) {
  const world::Vocabulary& vocabulary = world.vocabulary();
  std::vector<std::string> words{"centre"};
  for (const auto* list :
       {&vocabulary.objects, &vocabulary.shapes, &vocabulary.colours, &vocabulary.characters}) {
    words.insert(words.end(), list->begin(), list->end());
  }
  return words;
}

// Runs a program found in PATH; its output goes to `log`.
Status RunProgram(const std::vector<std::string>& arguments, const std::string& log) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return Fail("cannot run {} (Debian package 'sentencepiece'): {}", arguments[0], std::strerror(error));
  }
  int state = 0;
  if (waitpid(pid, &state, 0) != pid || !WIFEXITED(state) || WEXITSTATUS(state) != 0) {
    return Fail("{} failed; see {}", arguments[0], log);
  }
  return {};
}

}  // namespace

std::vector<std::string> TokenizerCorpus(const world::World& world, const TokenizerOptions& options) {
  std::vector<std::string> lines;
  for (int i = 0; i < kFrameRepeats; ++i) {
    lines.emplace_back("USER:");
    lines.emplace_back("ASSISTANT:");
    lines.emplace_back(kV1System);
  }
  for (const std::string& word : Words(world)) lines.insert(lines.end(), kWordRepeats, word);
  for (int i = 0; i < options.scenes; ++i) {
    Random random = Random::Stream(options.seed, static_cast<uint64_t>(i));
    const world::Scene scene = world.MakeScene(world::Split::kTrain, static_cast<uint64_t>(i));
    lines.push_back(SpreadCharacters(world.Caption(scene)));
    for (const world::Question& question : world.AskAbout(scene, 6, random)) {
      lines.push_back(SpreadCharacters(question.question));
      lines.push_back(SpreadCharacters(question.answer));
    }
  }
  return lines;
}

Result<Tokenizer> TrainTokenizer(const world::World& world, const TokenizerOptions& options,
                                 const std::string& directory) {
  const std::string model = directory + "/tokenizer.model";
  if (std::filesystem::exists(model)) return LoadTokenizer(model);
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return Fail("{}: cannot create the directory: {}", directory, error.message());

  // Another machine that shares the storage may do the same at this moment.
  const std::string prefix =
      fmt::format("{}/tokenizer-in-training-{:08x}", directory, std::random_device()());
  std::string corpus;
  for (const std::string& line : TokenizerCorpus(world, options)) {
    for (size_t begin = 0; begin <= line.size();) {  // a line break ends a sentence for spm_train
      const size_t end = std::min(line.find('\n', begin), line.size());
      if (end > begin) corpus.append(line, begin, end - begin).push_back('\n');
      begin = end + 1;
    }
  }
  MVLM_TRY(WriteFileAtomically(prefix + ".txt", corpus));
  MVLM_TRY(
      RunProgram({"spm_train", "--input=" + prefix + ".txt", "--model_prefix=" + prefix, "--model_type=bpe",
                  fmt::format("--vocab_size={}", options.vocabulary), "--hard_vocab_limit=false",
                  "--byte_fallback=true", "--character_coverage=1.0", "--normalization_rule_name=identity",
                  "--remove_extra_whitespaces=false", "--add_dummy_prefix=true", "--split_digits=true",
                  "--unk_id=0", "--bos_id=1", "--eos_id=2", "--pad_id=-1", "--num_threads=1"},
                 directory + "/tokenizer.log"));
  std::filesystem::rename(prefix + ".model", model, error);
  if (error) return Fail("{}: cannot be created: {}", model, error.message());
  std::filesystem::remove(prefix + ".txt", error);
  std::filesystem::remove(prefix + ".vocab", error);
  MVLM_ASSIGN(Tokenizer tokenizer, LoadTokenizer(model));
  const std::vector<std::string> split = SplitWords(world, tokenizer);
  fmt::print(stderr, "tokenizer: {} pieces, {} words of the world take more than one\n", tokenizer.size(),
             split.size());
  for (const std::string& word : split) fmt::print(stderr, "  {}\n", word);
  return tokenizer;
}

Result<Tokenizer> LoadTokenizer(const std::string& path) {
  MVLM_ASSIGN(const std::string bytes, ReadFile(path, kLargestModel));
  auto vocab = ParseSentencePieceModel(bytes);
  if (!vocab) return Context(vocab.error(), "{}", path);
  return Tokenizer::Create(std::move(*vocab));
}

std::vector<std::string> SplitWords(const world::World& world, const Tokenizer& tokenizer) {
  std::vector<std::string> split;
  for (const std::string& word : Words(world)) {
    const bool digit = word.size() == 1 && std::isdigit(static_cast<unsigned char>(word[0]));
    if (!digit && tokenizer.Encode(word).size() != 1) split.push_back(word);
  }
  return split;
}

}  // namespace mobilevlm::train
