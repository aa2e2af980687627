// Where a request ends: bytes that are left of one are never taken for another, and what is read, or
// answered, has a limit.
#include <string>
#include <vector>

#include "serve/raw_client.h"
#include "serve/test_support.h"

namespace mobilevlm::serve {
namespace {

const std::string kNext = "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n";

std::string Line(const std::string& method, const std::string& path) {
  return method + " " + path + " HTTP/1.1\r\nHost: x\r\n";
}
std::string WithLength(const std::string& line, size_t length) {
  return line + "Content-Length: " + std::to_string(length) + "\r\n\r\n";
}

int Responses(const std::string& text) {
  int count = 0;
  for (size_t at = text.find("HTTP/1.1 "); at != std::string::npos; at = text.find("HTTP/1.1 ", at + 1))
    ++count;
  return count;
}

// What follows each of `heads` is not answered as a request, and the connection ends.
void ExpectOneResponse(const RunningServer& server, const std::vector<std::string>& heads) {
  for (const std::string& head : heads) {
    RawClient client(server.port());
    client.Send(head + kNext);
    const std::string text = client.Read("\n\n\n", 5'000);
    EXPECT_EQ(Responses(text), 1) << head << "\n" << text;
    EXPECT_THAT(text, HasSubstr("Connection: close")) << head;
    EXPECT_THAT(text, Not(HasSubstr("Keep-Alive"))) << head;
    EXPECT_TRUE(client.ended()) << head;
  }
}

TEST(ServerFraming, WhatIsLeftOfARequestIsNotTheNextOne) {
  ServerOptions options = Quiet();
  options.cors_origin = "https://app.example";
  const RunningServer server(options);
  const std::string chat = Line("POST", kChat);
  ExpectOneResponse(server, {
                                WithLength(Line("GET", "/health"), kNext.size()),
                                WithLength(Line("HEAD", "/health"), kNext.size()),
                                WithLength(Line("GET", "/app.js"), kNext.size()),
                                WithLength(Line("GET", "/nowhere"), kNext.size()),
                                WithLength(Line("GET", "/v1/models/nano"), kNext.size()),
                                WithLength(Line("GET", kChat), kNext.size()),
                                WithLength(Line("OPTIONS", kChat), kNext.size()),
                                WithLength(Line("PUT", kChat), kNext.size()),
                                Line("GET", "/health") + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                                // Refused by the library, before it looks for a handler.
                                WithLength(chat + "Range: nonsense\r\n", kNext.size()),
                                WithLength(Line("GET", "/" + std::string(9000, 'x')), kNext.size()),
                            });
}

TEST(ServerFraming, ABodyWithoutACertainEndIsTheLast) {
  const RunningServer server;
  const std::string chat = Line("POST", kChat), chunked = chat + "Transfer-Encoding: chunked\r\n\r\n";
  ExpectOneResponse(server, {
                                chunked + "zz\r\n",
                                chunked + "2\r\n{}GARBAGE\r\n",
                                chunked + "2\r\n{}\r\n0\r\nTrailer: x\r\n\r\n",
                                chunked + "2\r\n{}\r\n0\r\n\r\n",
                                chat + "Transfer-Encoding: gzip, chunked\r\n\r\n",
                                chat + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
                                chat + "Content-Length: 4, 4\r\n\r\n{}{}",
                                chat + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
                                chat + "Content-Length: +2\r\n\r\n{}",
                                chat + "Content-Length: 0x2\r\n\r\n{}",
                                chat + "Content-Length: 99999999999999999999\r\n\r\n{}",
                                chat + "Content-Length : 2\r\n\r\n{}",
                                chat + "X: y\r\n Content-Length: 2\r\n\r\n{}",
                            });
}

TEST(ServerFraming, WholeRequestsShareAConnection) {
  const RunningServer server;
  RawClient client(server.port());
  client.Send(Line("GET", "/health") + "\r\n" + WithLength(Line("POST", kChat), 2) + "{}" +
              Line("GET", kChat) + "\r\n" + Line("GET", "/nowhere") + "\r\n" + kNext);
  const std::string text = client.Read("{\"status\":\"ready\"}");
  EXPECT_EQ(Responses(text), 5) << text;
  EXPECT_THAT(text, Not(HasSubstr("Connection: close")));
}

TEST(ServerFraming, NoHeaderIsLongerThanItsLimit) {
  const RunningServer server;
  RawClient client(server.port());
  std::string text = "GET /health HTTP/1.1\r\n\n";  // no end for the library
  for (int i = 0; i < 200; ++i) text += "X-" + std::to_string(i) + ": " + std::string(1000, 'x') + "\r\n";
  client.Send(text + "\r\n");
  EXPECT_THAT(client.Read("\n\n\n", 5'000), HasSubstr("HTTP/1.1 400"));
  EXPECT_TRUE(client.ended());
}

TEST(ServerFraming, NoLineOfAChunkIsLong) {
  const RunningServer server;
  RawClient client(server.port());
  client.Send(Line("POST", kChat) + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(100'000, 'x'));
  EXPECT_THAT(client.Read("\n\n\n", 5'000), HasSubstr("HTTP/1.1 400"));
  EXPECT_TRUE(client.ended());
  // Small chunks have short lines.
  RawClient small(server.port());
  std::string chunks;
  for (int i = 0; i < 500; ++i) chunks += "1\r\n \r\n";
  small.Send(Line("POST", kChat) + "Transfer-Encoding: chunked\r\n\r\n" + chunks + "2\r\n{}\r\n0\r\n\r\n");
  EXPECT_THAT(small.Read("}}"), HasSubstr("model is missing"));
}

TEST(ServerFraming, RangesAreNotServed) {
  const RunningServer server;
  const std::string whole = server.Client().Get("/app.js")->body;
  std::string many = "bytes=-";
  for (int i = 1; i < 4000; ++i) many += ",-";
  for (const std::string& range : {many, std::string("bytes=0-9"), std::string("bytes=0-9,5-20")}) {
    const httplib::Result response = server.Client().Get("/app.js", {{"Range", range}});
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, 200);
    EXPECT_TRUE(response->body == whole) << response->body.size();
    EXPECT_EQ(response->get_header_value("Accept-Ranges"), "none");
  }
  const httplib::Result wrong = server.Client().Get("/app.js", {{"Range", many + ",5-1"}});
  ASSERT_TRUE(wrong);
  EXPECT_EQ(wrong->status, 416);
  EXPECT_EQ(wrong->body, "");
}

}  // namespace
}  // namespace mobilevlm::serve
