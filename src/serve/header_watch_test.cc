#include "serve/header_watch.h"

#include <gtest/gtest.h>

#include <string>

namespace mobilevlm::serve {
namespace {

// Bytes until the header has ended; 0: it is wrong, -1: it has not ended yet.
int EndOf(const std::string& text) {
  HeaderWatch watch;
  for (const char c : text) {
    watch.Take(c);
    if (watch.ended()) return static_cast<int>(watch.bytes());
  }
  return watch.wrong() ? 0 : -1;
}

TEST(HeaderWatch, EndsAtTheFirstEmptyLine) {
  EXPECT_EQ(EndOf("GET / HTTP/1.1\r\n\r\n"), 18);
  EXPECT_EQ(EndOf("GET / HTTP/1.1\r\n\r\nGET"), 18);
  EXPECT_EQ(EndOf("GET / HTTP/1.1\r\nHost: x y\r\nEmpty:\r\n\r\n"), 37);
  EXPECT_EQ(EndOf("GET / HTTP/1.1\r\nHost: x\r\n"), -1);
  EXPECT_EQ(EndOf("\r\n"), -1);  // the library takes it for the request's line
}

TEST(HeaderWatch, RefusesWhatCanBeReadInTwoWays) {
  for (const char* wrong :
       {"GET / HTTP/1.1\n", "GET / HTTP/1.1\r\n\n", "GET / HTTP/1.1\r\nA: 1\n\r\n", "GET /\rHTTP",
        "GET / HTTP/1.1\r\nA: 1\rB: 2\r\n\r\n", "GET / HTTP/1.1\r\nA: 1\r\r\n\r\n",
        "GET / HTTP/1.1\r\nA : 1\r\n\r\n", "GET / HTTP/1.1\r\nA: 1\r\n B: 2\r\n\r\n",
        "GET / HTTP/1.1\r\n\tA: 1\r\n\r\n", "GET / HTTP/1.1\r\nA\r\n\r\n"}) {
    EXPECT_EQ(EndOf(wrong), 0) << wrong;
  }
}

}  // namespace
}  // namespace mobilevlm::serve
