// Handles of the C interface that free themselves, and the models of the tests.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "mobilevlm/mobilevlm_c.h"

namespace mobilevlm::capi {

struct Free {
  void operator()(mobilevlm_model* handle) const { mobilevlm_model_free(handle); }
  void operator()(mobilevlm_session* handle) const { mobilevlm_session_free(handle); }
  void operator()(mobilevlm_picture* handle) const { mobilevlm_picture_free(handle); }
  void operator()(mobilevlm_answer* handle) const { mobilevlm_answer_free(handle); }
  void operator()(mobilevlm_cancellation* handle) const { mobilevlm_cancellation_free(handle); }
  void operator()(char* error) const { mobilevlm_free(error); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

// The `char** error` of a call: CError error; call(..., error.out()).
class CError {
 public:
  char** out() {
    error_.reset();
    return &raw_;
  }
  std::string message() {
    if (raw_ != nullptr) error_.reset(std::exchange(raw_, nullptr));
    return error_ ? error_.get() : "";
  }
  ~CError() { message(); }

 private:
  char* raw_ = nullptr;
  Owned<char> error_;
};

inline const std::string kGolden = MOBILEVLM_SOURCE_DIR "/tests/golden/";
inline const std::string kText = kGolden + "nano-ldpv2/text.gguf";
inline const std::string kMmproj = kGolden + "nano-ldpv2/mmproj.gguf";

inline Owned<mobilevlm_model> LoadNano(int threads = 1) {
  mobilevlm_load_options options = MOBILEVLM_LOAD_OPTIONS_INIT;
  options.text = kText.c_str();
  options.mmproj = kMmproj.c_str();
  options.threads = threads;
  CError error;
  Owned<mobilevlm_model> model(mobilevlm_model_load(&options, error.out()));
  EXPECT_NE(model, nullptr) << error.message();
  return model;
}

inline Owned<mobilevlm_session> Start(const mobilevlm_model* model) {
  CError error;
  Owned<mobilevlm_session> session(mobilevlm_session_new(model, nullptr, error.out()));
  EXPECT_NE(session, nullptr) << error.message();
  return session;
}

// A picture of the model's size that differs with `seed`.
inline std::vector<uint8_t> Pattern(int seed) {
  std::vector<uint8_t> rgb(size_t{336} * 336 * 3);
  for (size_t i = 0; i < rgb.size(); ++i) {
    rgb[i] = static_cast<uint8_t>((i * static_cast<size_t>(seed) * 7919 + i / 1000) % 251);
  }
  return rgb;
}
inline Owned<mobilevlm_picture> PatternPicture(int seed) {
  CError error;
  Owned<mobilevlm_picture> picture(mobilevlm_picture_from_rgb(336, 336, Pattern(seed).data(), error.out()));
  EXPECT_NE(picture, nullptr) << error.message();
  return picture;
}

inline Owned<mobilevlm_answer> Ask(mobilevlm_session* session, const mobilevlm_picture* picture,
                                   const std::string& prompt, const mobilevlm_ask_options& options) {
  CError error;
  Owned<mobilevlm_answer> answer(mobilevlm_session_ask(session, &picture, picture != nullptr ? 1 : 0,
                                                       prompt.c_str(), &options, error.out()));
  EXPECT_NE(answer, nullptr) << error.message();
  return answer;
}

inline std::vector<int> Ids(const mobilevlm_answer* answer) {
  size_t count = 0;
  const int32_t* ids = mobilevlm_answer_ids(answer, &count);
  return {ids, ids + count};
}

}  // namespace mobilevlm::capi
