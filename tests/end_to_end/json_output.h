// What a command that is given --json prints.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "process.h"

namespace mobilevlm::golden {

inline nlohmann::json Json(const ProcessResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return nlohmann::json::parse(result.out, nullptr, /*allow_exceptions=*/false);
}

}  // namespace mobilevlm::golden
