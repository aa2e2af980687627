// HeaderWatch: finds the end of a request's header among the bytes that the library has taken, where the
// library finds it, and what two readers may understand differently. The library skips a line that ends with
// a bare line feed, keeps a carriage return within one, and knows neither "Name : value" nor a line that
// continues the one before it; a balancer that does would see other lengths, and so other requests, than we.
#pragma once

#include <cstddef>

namespace mobilevlm::serve {

class HeaderWatch {
 public:
  void Take(char c);

  bool ended() const { return ended_; }
  bool wrong() const { return wrong_; }  // it will not end any more
  size_t bytes() const { return bytes_; }

 private:
  void EndLine();

  size_t bytes_ = 0, line_bytes_ = 0;
  bool first_line_ = true;  // of the request, not of its fields
  bool named_ = false;      // the line's colon has come
  char last_ = 0;
  bool ended_ = false, wrong_ = false;
};

inline void HeaderWatch::Take(char c) {
  ++bytes_;
  ++line_bytes_;
  if ((c == '\n') != (last_ == '\r')) wrong_ = true;
  if (c == ':') named_ = true;
  if (!first_line_ && !named_ && (c == ' ' || c == '\t')) wrong_ = true;
  last_ = c;
  if (c == '\n') EndLine();
}

inline void HeaderWatch::EndLine() {
  const bool empty = line_bytes_ == 2;
  if (!first_line_ && !empty && !named_) wrong_ = true;
  if (!first_line_ && empty && !wrong_) ended_ = true;
  first_line_ = named_ = false;
  line_bytes_ = 0;
}

}  // namespace mobilevlm::serve
