// How the executable says no.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "process.h"

namespace mobilevlm::golden {

// Exit code 2, nothing on standard output, one line that holds every one of `words`.
inline void ExpectRefusal(const ProcessResult& result, const std::vector<std::string>& words) {
  EXPECT_EQ(result.exit_code, 2) << "signal " << result.signal << "\n" << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.error_lines(), 1u) << result.err;
  EXPECT_TRUE(result.err.starts_with("mobilevlm: ")) << result.err;
  for (const std::string& word : words) EXPECT_NE(result.err.find(word), std::string::npos) << result.err;
}

}  // namespace mobilevlm::golden
