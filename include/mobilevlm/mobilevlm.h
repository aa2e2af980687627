// MobileVLM: ask questions about pictures with a MobileVLM V2 model, on the CPU.
//
//   using namespace mobilevlm;
//   Result<Model> model = Model::Load({.text = "text.gguf", .mmproj = "mmproj.gguf"});
//   if (!model) return Complain(model.error().message);
//   Result<Session> session = model->NewSession();
//   Result<Answer> answer = session->Ask({Picture::FromFile("dog.jpg")}, "What is this?");
//   puts(answer->text.c_str());
//
// Errors. Everything that can fail because of a file, a picture, an option or the machine returns Result<T>;
// its Error is one line for the user. Nothing throws. After a failed call the object is as it was before.
//
// Threads. A Model is immutable and may be shared; copies are cheap handles on the same weights. A Session
// serves one caller at a time. Sessions of one Model may be used from different threads: they share the
// model's thread pool and take turns at every step (one picture, one stretch of prompt, one token). Two
// Models share nothing. Loading and Ask() block; set GenerateOptions::cancel from any thread (or a signal
// handler) to end an Ask() at the next step.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mobilevlm/result.h"

namespace mobilevlm {

const char* Version();  // "0.1.0"

enum class KvType { kF32, kF16, kQ8_0 };
const char* KvTypeName(KvType type);        // "f32", "f16", "q8_0", as --kv takes them
enum class PromptTemplate { kV1, kPlain };  // v1: all released models; plain: the picture alone, stage 1
enum class ImageFit {
  kPad,   // pad to a square, then resize: how all released models see pictures
  kCrop,  // resize the shorter side, then cut the centre out
};

struct LoadOptions {
  std::string text = {};     // GGUF file of the language model (architecture llama)
  std::string mmproj = {};   // GGUF file of vision tower and projector (architecture clip)
  int threads = 0;           // 0: one per CPU
  int context = 0;           // positions a session can hold; 0: what the model was trained with
  KvType kv = KvType::kF16;  // element type of the key and value cache
  // Quantised weights normally meet activations quantised to 8 bits; true keeps activations float, as the
  // reference has them, at a fraction of the speed.
  bool float_activations = false;
  std::string isa = {};       // "generic", "avx2", ...; "": MOBILEVLM_ISA if set, else the best
  uint64_t memory_limit = 0;  // bytes; 0: what the system has available now
};

// What a loaded model with one session occupies, in bytes.
struct MemoryNeed {
  uint64_t weights = 0;      // the two files, quantised matrices packed
  uint64_t kv_cache = 0;     // per session
  uint64_t activations = 0;  // shared by all sessions
  uint64_t total() const { return weights + kv_cache + activations; }
};

struct ModelInfo {
  std::string text_path, mmproj_path;
  std::string projector;  // "ldpv2", "ldp", "mlp"
  std::string isa;        // the kernels in use
  int threads = 0;
  int image_size = 0;     // side in pixels
  int visual_tokens = 0;  // positions one picture takes
  int vision_layers = 0;  // blocks that run
  int layers = 0, hidden = 0, heads = 0, vocab = 0;
  int context = 0;
  MemoryNeed memory;
  double load_ms = 0;
};

// One picture: JPEG, PNG or WebP from a file ("-" is standard input) or memory, or plain pixels.
struct Picture {
  static Picture FromFile(std::string path);
  static Picture FromBytes(std::string encoded, std::string name = "picture");  // the name is for errors
  static Picture FromRgb(int width, int height, std::vector<uint8_t> rgb);      // [height, width, 3]

  ImageFit fit = ImageFit::kPad;
  bool apply_exif = true;            // turn the picture as its EXIF orientation says; the reference does not
  int64_t max_pixels = 178'956'970;  // a larger picture is an Error, before it is decoded; as Pillow has it

  enum class Source { kFile, kBytes, kRgb };
  Source source = Source::kFile;
  std::string name;           // path or name
  std::string bytes;          // kBytes
  std::vector<uint8_t> rgb;   // kRgb
  int width = 0, height = 0;  // kRgb
};

struct GenerateOptions {
  int max_tokens = 512;
  float temperature = 0.0f;  // 0: greedy. The order is Hugging Face's: penalty, temperature, k, p, min-p
  int top_k = 0;             // 0: off
  float top_p = 1.0f;
  float min_p = 0.0f;
  float repetition_penalty = 1.0f;
  uint64_t seed = 0;
  std::vector<std::string> stop = {};         // further stop strings; never part of the answer
  const std::atomic<bool>* cancel = nullptr;  // true ends the generation at the next step

  // The answer is JSON text that this JSON Schema allows; {"type": "object"} allows any object. Empty: free
  // text. docs/serving.md names the keywords; one that is not supported is an Error. max_tokens may cut the
  // text short: StopReason::kEos says that it is whole.
  std::string json_schema = {};

  static constexpr int kNoLogprobs = -1;
  static constexpr int kMostLogprobs = 20;
  int logprobs = kNoLogprobs;  // 0..20: fill Answer::tokens, each with so many of the likeliest choices

  // Speculative decoding by prompt lookup: words that have followed before are tried several at once. The ids
  // are the same with and without, only sooner. Works with temperature 0, otherwise it has no effect.
  static constexpr int kSpeculateAuto = -1;  // as many as pay on this machine and in this text, possibly none
  int speculate = kSpeculateAuto;            // 0: off; 1..16: try so many whenever there are any
};

enum class StopReason { kEos, kStopString, kMaxTokens, kContextFull, kCancelled };
const char* StopReasonName(StopReason reason);  // "eos", "stop", "max_tokens", "context_full", "cancelled"

struct Stats {
  double image_ms = 0;       // decode, resize, vision tower, projector; all pictures of this call
  double prompt_ms = 0;      // prompt through the language model
  double generate_ms = 0;    // all tokens after the first
  int images = 0;            // pictures that went through the tower (a repeated picture does not)
  int prompt_positions = 0;  // text ids and visual tokens of the whole prompt
  int reused_positions = 0;  // of these, already in the cache from the call before
  int generated = 0;         // ids, the end-of-sequence id included
  int drafted = 0;           // ids tried ahead by speculation
  int accepted = 0;          // of these, the ones the model confirmed
  double tokens_per_second() const { return generate_ms > 0 ? (generated - 1) * 1000.0 / generate_ms : 0; }
};

// One choice of the next token. The probability is the model's own, before temperature, filters and schema.
struct TokenChoice {
  int id = 0;
  std::string bytes = {};  // may be part of a UTF-8 character
  float logprob = 0;       // natural logarithm
};

// A generated token and what else might have stood there.
struct Token : TokenChoice {
  std::vector<TokenChoice> top = {};  // [GenerateOptions::logprobs], the likeliest first
};

struct Answer {
  std::string text = {};      // stripped of surrounding white space
  std::vector<int> ids;       // as generated, without the end-of-sequence id
  std::vector<Token> tokens;  // [ids], if GenerateOptions::logprobs asks for them
  StopReason stop = StopReason::kEos;
  Stats stats;
};

// How likely the model finds one given answer.
struct AnswerLikelihood {
  std::vector<int> ids;          // of the answer as the template writes it, without the end-of-sequence id
  std::vector<float> log_probs;  // [ids], natural logarithms, each given the prompt and the ids before it
  double total() const;          // their sum: log p(answer | prompt)
  double mean() const;           // per id; 0 for no ids
};

struct SessionOptions {
  PromptTemplate chat_template = PromptTemplate::kV1;
  std::string system = {};  // empty: the template's own
};

namespace engine {
class Runtime;
class Conversation;
}  // namespace engine

// A conversation about pictures. Movable, not copyable; keeps its Model alive.
class Session {
 public:
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // Generates an answer, and adds a turn unless it is empty. `pictures` belong to this turn; they take the
  // places of the marks "<image>" in `prompt`, those left over go in front. More marks than pictures, a
  // prompt longer than the context or a picture that cannot be read is an Error before anything is computed.
  // The plain template knows only captions: it takes no notice of `prompt`, and a second turn is an Error.
  // `on_text` gets the answer piece by piece on the calling thread, never half a UTF-8 character; the pieces
  // together are Answer::text.
  Result<Answer> Ask(const std::vector<Picture>& pictures, std::string_view prompt,
                     const GenerateOptions& options = {},
                     const std::function<void(std::string_view)>& on_text = {});

  // Log-probabilities of `answers` in place of the one that Ask() would generate. Adds no turn. With
  // `first_id_only` each gets its first id and that id's log-probability, at no more cost than the prompt.
  // An empty answer, or one that does not fit into the context, is an Error, and so is the plain template
  // with an earlier turn. `cancel` as in GenerateOptions: true ends the call with an Error. To `stats` are
  // added the pictures and positions of the call, and their times; prompt_ms takes in the answers.
  Result<std::vector<AnswerLikelihood>> Likelihoods(
      const std::vector<Picture>& pictures, std::string_view prompt, const std::vector<std::string>& answers,
      bool first_id_only = false, const std::atomic<bool>* cancel = nullptr, Stats* stats = nullptr);

  // Forgets the turns. What the next conversation shares with this one (the system text, the picture behind
  // it, the last eight pictures, recognised by their content) is not computed again, and answers are the same
  // bit for bit as in a new session.
  void Reset();

 private:
  friend class Model;
  explicit Session(std::unique_ptr<engine::Conversation> conversation);
  std::unique_ptr<engine::Conversation> conversation_;
};

class Model {
 public:
  // Maps both files and checks that they fit each other and the memory before allocating anything.
  static Result<Model> Load(const LoadOptions& options);

  const ModelInfo& Describe() const;

  // A new, empty conversation with its own cache of MemoryNeed::kv_cache bytes.
  Result<Session> NewSession(const SessionOptions& options = {}) const;

 private:
  friend class Batch;
  explicit Model(std::shared_ptr<engine::Runtime> runtime);
  std::shared_ptr<engine::Runtime> runtime_;
};

}  // namespace mobilevlm
