// Ids one by one into printable text, as a model generates them.
//
//   StreamDecoder decoder(tokenizer);
//   while (...) std::cout << decoder.Push(id);
//   std::cout << decoder.Finish();
//
// What Push returns is always valid UTF-8: bytes of an unfinished character are held back until the rest
// arrives, and become U+FFFD (one for each byte, as in libsentencepiece) once it cannot arrive any more.
// The concatenation of everything returned equals Tokenizer::Decode of all ids, which is built on this.
//
// The tokenizer must outlive the decoder. Not thread-safe; one decoder per stream.
#pragma once

#include <string>

#include "text/tokenizer.h"

namespace mobilevlm {

class StreamDecoder {
 public:
  enum class Start {
    kText,          // the first piece carries the dummy prefix space, which is not printed
    kContinuation,  // the ids continue a text: its first space is a real one
  };
  explicit StreamDecoder(const Tokenizer& tokenizer, Start start = Start::kText);

  std::string Push(int id);

  // What is still held back, as U+FFFD. The decoder is then as new.
  std::string Finish();

 private:
  std::string Take(bool all);

  const Tokenizer& tokenizer_;
  Start start_;
  bool at_start_;        // nothing printed yet, so a space may be the dummy prefix
  std::string pending_;  // bytes of byte pieces that make no whole character yet
};

}  // namespace mobilevlm
