// A pickle of protocol 2, read as data: a graph of values in which a call is written down and never made.
//
// A pickle is a program for a stack machine, and in Python it may import and run anything. Here only the
// opcodes that torch.save writes are understood, and only the globals that the caller lists: the first other
// one is an Error with its name ("posix.system"). Time and memory are linear in the length of the pickle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mobilevlm {

class Pickle {
 public:
  using Id = uint32_t;
  enum class Kind { kNone, kBool, kInteger, kReal, kText, kSequence, kDict, kGlobal, kPersistent, kCall };

  struct Value {
    Kind kind = Kind::kNone;
    int64_t integer = 0;  // kBool, kInteger
    double real = 0;
    std::string text = {};       // kText; kGlobal: "module.name"
    std::vector<Id> items = {};  // kSequence: elements; kDict: key, value, key, value, ...; kPersistent: what
                                 // names it; kCall: the global and the sequence of its arguments
  };

  // `globals` may hold "collections.OrderedDict", whose call without arguments is an empty kDict.
  static Result<Pickle> Parse(std::span<const std::byte> bytes, std::span<const std::string_view> globals);

  const Value& root() const { return values_[root_]; }
  const Value& at(Id id) const { return values_[id]; }

 private:
  friend class PickleMachine;
  std::vector<Value> values_;  // may refer to each other in circles
  Id root_ = 0;
};

}  // namespace mobilevlm
