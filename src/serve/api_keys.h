// The keys that open the API. What is kept and compared are SHA-256 digests, in constant time, so that
// neither the length of a key nor how much of a guess is right shows in the time of the answer.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mobilevlm::serve {

class ApiKeys {
 public:
  // Empty keys are an Error: a forgotten variable must not open the API.
  static Result<ApiKeys> Create(const std::vector<std::string>& keys);

  bool empty() const { return digests_.empty(); }

  // Which key an Authorization header carries ("Bearer KEY"), -1 if none of them.
  int Match(std::string_view authorization) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  static Digest Hash(std::string_view key);

  std::vector<Digest> digests_;
};

// One key per line; empty lines and lines that begin with # are skipped.
Result<std::vector<std::string>> ReadKeyFile(const std::string& path);

}  // namespace mobilevlm::serve
