// The C interface (include/mobilevlm/mobilevlm_c.h) on top of the C++ one: each handle holds the object of
// the same name, each function translates its arguments and its error.
#include "mobilevlm/mobilevlm_c.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/result.h"
#include "capi/structs.h"
#include "capi/translate.h"
#include "mobilevlm/mobilevlm.h"

using mobilevlm::Answer;
using mobilevlm::Fail;
using mobilevlm::GenerateOptions;
using mobilevlm::LoadOptions;
using mobilevlm::Model;
using mobilevlm::Picture;
using mobilevlm::Result;
using mobilevlm::Session;
using mobilevlm::SessionOptions;
using mobilevlm::StopReason;
using mobilevlm::capi::ReadStruct;
using mobilevlm::capi::Translate;
using mobilevlm::capi::WriteStruct;

struct mobilevlm_model {
  Model model;
};
struct mobilevlm_session {
  Session session;
};
struct mobilevlm_picture {
  Picture picture;
};
struct mobilevlm_answer {
  Answer answer;
};
struct mobilevlm_cancellation {
  std::atomic<bool> requested{false};
};

namespace {

static_assert(sizeof(int) == sizeof(int32_t), "ids are handed out as they are stored");
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may request a cancellation");

void SetError(char** error, const char* message) noexcept {
  if (error == nullptr) return;
  const size_t size = std::strlen(message) + 1;
  *error = static_cast<char*>(std::malloc(size));
  if (*error != nullptr) std::memcpy(*error, message, size);
}

// Runs `body`, a function to Result<T>, at the edge: its error becomes the caller's, and so does an exception
// (memory that is exhausted), for which C has no place.
template <class T, class Body>
T AtTheEdge(char** error, Body&& body) noexcept {
  if (error != nullptr) *error = nullptr;
  try {
    Result<T> result = body();
    if (result) return *result;
    SetError(error, result.error().message.c_str());
  } catch (const std::exception& exception) {
    SetError(error, exception.what());
  } catch (...) {
    SetError(error, "an exception of an unknown kind");
  }
  return T{};
}

Result<const mobilevlm::TokenChoice*> FindToken(const Answer& answer, size_t index, int rank) {
  if (answer.tokens.empty() && !answer.ids.empty()) return Fail("this answer was asked for without logprobs");
  if (index >= answer.tokens.size()) {
    return Fail("token {} of an answer that has {}", index, answer.tokens.size());
  }
  const mobilevlm::Token& token = answer.tokens[index];
  if (rank == MOBILEVLM_CHOSEN) return &token;
  if (rank < 0 || static_cast<size_t>(rank) >= token.top.size()) {
    return Fail("choice {} of a token for which {} were kept", rank, token.top.size());
  }
  return &token.top[static_cast<size_t>(rank)];
}

// Changes a picture: 1, or 0 if there is none.
template <class Change>
int ChangePicture(mobilevlm_picture* picture, char** error, Change&& change) {
  return AtTheEdge<int>(error, [&]() -> Result<int> {
    if (picture == nullptr) return Fail("the picture is NULL");
    MVLM_TRY(change(picture->picture));
    return 1;
  });
}

}  // namespace

extern "C" {

int mobilevlm_abi_version(void) { return MOBILEVLM_ABI_VERSION; }
const char* mobilevlm_version(void) { return mobilevlm::Version(); }
void mobilevlm_free(char* error) { std::free(error); }

// --- Model ---

mobilevlm_model* mobilevlm_model_load(const mobilevlm_load_options* options, char** error) {
  return AtTheEdge<mobilevlm_model*>(error, [&]() -> Result<mobilevlm_model*> {
    MVLM_ASSIGN(const mobilevlm_load_options own, ReadStruct(options, "load options"));
    MVLM_ASSIGN(const LoadOptions load, Translate(own));
    MVLM_ASSIGN(Model model, Model::Load(load));
    return new mobilevlm_model{std::move(model)};
  });
}

void mobilevlm_model_free(mobilevlm_model* model) { delete model; }

int mobilevlm_model_describe(const mobilevlm_model* model, mobilevlm_model_info* info, char** error) {
  return AtTheEdge<int>(error, [&]() -> Result<int> {
    if (model == nullptr) return Fail("the model is NULL");
    MVLM_TRY(WriteStruct(Translate(model->model.Describe()), info, "model info"));
    return 1;
  });
}

// --- Pictures ---

mobilevlm_picture* mobilevlm_picture_from_file(const char* path, char** error) {
  return AtTheEdge<mobilevlm_picture*>(error, [&]() -> Result<mobilevlm_picture*> {
    if (path == nullptr) return Fail("the path of the picture is NULL");
    return new mobilevlm_picture{Picture::FromFile(path)};
  });
}

mobilevlm_picture* mobilevlm_picture_from_memory(const void* bytes, size_t size, const char* name,
                                                 char** error) {
  return AtTheEdge<mobilevlm_picture*>(error, [&]() -> Result<mobilevlm_picture*> {
    if (bytes == nullptr) return Fail("the bytes of the picture are NULL");
    std::string encoded(static_cast<const char*>(bytes), size);
    return new mobilevlm_picture{Picture::FromBytes(std::move(encoded), name == nullptr ? "picture" : name)};
  });
}

mobilevlm_picture* mobilevlm_picture_from_rgb(int32_t width, int32_t height, const uint8_t* rgb,
                                              char** error) {
  return AtTheEdge<mobilevlm_picture*>(error, [&]() -> Result<mobilevlm_picture*> {
    if (rgb == nullptr) return Fail("the pixels of the picture are NULL");
    const int64_t pixels = int64_t{width} * height;
    if (width <= 0 || height <= 0 || pixels > Picture().max_pixels) {
      return Fail("a picture of {} x {} pixels: wanted 1 to {} pixels", width, height, Picture().max_pixels);
    }
    return new mobilevlm_picture{Picture::FromRgb(width, height, {rgb, rgb + 3 * pixels})};
  });
}

void mobilevlm_picture_free(mobilevlm_picture* picture) { delete picture; }

int mobilevlm_picture_set_fit(mobilevlm_picture* picture, mobilevlm_fit fit, char** error) {
  return ChangePicture(picture, error, [&](Picture& own) -> mobilevlm::Status {
    if (fit != MOBILEVLM_FIT_PAD && fit != MOBILEVLM_FIT_CROP) {
      return Fail("fit: wanted a mobilevlm_fit, found {}", static_cast<int>(fit));
    }
    own.fit = fit == MOBILEVLM_FIT_CROP ? mobilevlm::ImageFit::kCrop : mobilevlm::ImageFit::kPad;
    return {};
  });
}

int mobilevlm_picture_set_apply_exif(mobilevlm_picture* picture, int apply, char** error) {
  return ChangePicture(picture, error, [&](Picture& own) -> mobilevlm::Status {
    own.apply_exif = apply != 0;
    return {};
  });
}

int mobilevlm_picture_set_max_pixels(mobilevlm_picture* picture, int64_t pixels, char** error) {
  return ChangePicture(picture, error, [&](Picture& own) -> mobilevlm::Status {
    if (pixels <= 0) return Fail("max_pixels: wanted at least 1, found {}", pixels);
    own.max_pixels = pixels;
    return {};
  });
}

// --- Session ---

mobilevlm_session* mobilevlm_session_new(const mobilevlm_model* model,
                                         const mobilevlm_session_options* options, char** error) {
  return AtTheEdge<mobilevlm_session*>(error, [&]() -> Result<mobilevlm_session*> {
    if (model == nullptr) return Fail("the model is NULL");
    MVLM_ASSIGN(const mobilevlm_session_options own, ReadStruct(options, "session options"));
    MVLM_ASSIGN(const SessionOptions translated, Translate(own));
    MVLM_ASSIGN(Session session, model->model.NewSession(translated));
    return new mobilevlm_session{std::move(session)};
  });
}

void mobilevlm_session_free(mobilevlm_session* session) { delete session; }

void mobilevlm_session_reset(mobilevlm_session* session) {
  if (session != nullptr) session->session.Reset();
}

mobilevlm_answer* mobilevlm_session_ask(mobilevlm_session* session, const mobilevlm_picture* const* pictures,
                                        size_t picture_count, const char* prompt,
                                        const mobilevlm_ask_options* options, char** error) {
  return AtTheEdge<mobilevlm_answer*>(error, [&]() -> Result<mobilevlm_answer*> {
    if (session == nullptr) return Fail("the session is NULL");
    if (prompt == nullptr) return Fail("the prompt is NULL");
    if (pictures == nullptr && picture_count > 0) {
      return Fail("{} pictures were announced, the array is NULL", picture_count);
    }
    std::vector<Picture> own_pictures;
    for (size_t i = 0; i < picture_count; ++i) {
      if (pictures[i] == nullptr) return Fail("picture {} is NULL", i);
      own_pictures.push_back(pictures[i]->picture);
    }
    MVLM_ASSIGN(const mobilevlm_ask_options own, ReadStruct(options, "ask options"));
    MVLM_ASSIGN(GenerateOptions generate, Translate(own));
    if (own.cancellation != nullptr) generate.cancel = &own.cancellation->requested;
    std::function<void(std::string_view)> on_text;
    if (own.on_text != nullptr) {
      on_text = [&own](std::string_view text) { own.on_text(own.user_data, text.data(), text.size()); };
    }
    MVLM_ASSIGN(Answer answer, session->session.Ask(own_pictures, prompt, generate, on_text));
    return new mobilevlm_answer{std::move(answer)};
  });
}

// --- Cancellation ---

mobilevlm_cancellation* mobilevlm_cancellation_new(void) { return new (std::nothrow) mobilevlm_cancellation; }
void mobilevlm_cancellation_request(mobilevlm_cancellation* cancellation) {
  if (cancellation != nullptr) cancellation->requested.store(true);
}
void mobilevlm_cancellation_reset(mobilevlm_cancellation* cancellation) {
  if (cancellation != nullptr) cancellation->requested.store(false);
}
void mobilevlm_cancellation_free(mobilevlm_cancellation* cancellation) { delete cancellation; }

// --- Answer ---

const char* mobilevlm_answer_text(const mobilevlm_answer* answer) {
  return answer == nullptr ? "" : answer->answer.text.c_str();
}

mobilevlm_stop_reason mobilevlm_answer_stop_reason(const mobilevlm_answer* answer) {
  if (answer == nullptr) return MOBILEVLM_STOP_CANCELLED;
  return Translate(answer->answer.stop);
}

const char* mobilevlm_stop_reason_name(mobilevlm_stop_reason reason) {
  for (const auto own : {StopReason::kEos, StopReason::kStopString, StopReason::kMaxTokens,
                         StopReason::kContextFull, StopReason::kCancelled}) {
    if (Translate(own) == reason) return mobilevlm::StopReasonName(own);
  }
  return "unknown";
}

const int32_t* mobilevlm_answer_ids(const mobilevlm_answer* answer, size_t* count) {
  if (count != nullptr) *count = answer == nullptr ? 0 : answer->answer.ids.size();
  return answer == nullptr ? nullptr : answer->answer.ids.data();
}

int mobilevlm_answer_stats(const mobilevlm_answer* answer, mobilevlm_stats* stats, char** error) {
  return AtTheEdge<int>(error, [&]() -> Result<int> {
    if (answer == nullptr) return Fail("the answer is NULL");
    MVLM_TRY(WriteStruct(Translate(answer->answer.stats), stats, "stats"));
    return 1;
  });
}

int mobilevlm_answer_token(const mobilevlm_answer* answer, size_t index, int rank, mobilevlm_token* token,
                           char** error) {
  return AtTheEdge<int>(error, [&]() -> Result<int> {
    if (answer == nullptr) return Fail("the answer is NULL");
    MVLM_ASSIGN(const mobilevlm::TokenChoice* choice, FindToken(answer->answer, index, rank));
    mobilevlm_token found = MOBILEVLM_TOKEN_INIT;
    found.id = choice->id;
    found.logprob = choice->logprob;
    found.bytes = choice->bytes.data();
    found.size = choice->bytes.size();
    MVLM_TRY(WriteStruct(found, token, "token"));
    return 1;
  });
}

void mobilevlm_answer_free(mobilevlm_answer* answer) { delete answer; }

}  // extern "C"
