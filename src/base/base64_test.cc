#include "base/base64.h"

#include <gtest/gtest.h>

#include <utility>

namespace mobilevlm {
namespace {

TEST(Base64, OfTheStandard) {  // RFC 4648, section 10
  for (const auto& [text, encoded] : {std::pair{"", ""},
                                      {"f", "Zg=="},
                                      {"fo", "Zm8="},
                                      {"foo", "Zm9v"},
                                      {"foob", "Zm9vYg=="},
                                      {"fooba", "Zm9vYmE="},
                                      {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(EncodeBase64(text), encoded);
  }
  EXPECT_EQ(EncodeBase64("\xFB\xFF"), "+/8=");
}

}  // namespace
}  // namespace mobilevlm
