// Structs that cross the C interface between a program and a library of different ages: each begins with its
// size, members are only appended, and zero means the default.
#pragma once

#include <algorithm>
#include <cstring>

#include "base/result.h"

namespace mobilevlm::capi {

// A program that forgot to set the size has anything there; no struct will ever grow that large.
inline Status CheckSize(size_t size, const char* what) {
  constexpr size_t kAbsurd = 1 << 16;
  if (size >= sizeof(size) && size <= kAbsurd) return {};
  return Fail("{}: struct_size is {}; begin with the _INIT macro", what, size);
}

// What the caller gave, as this library knows it: members that an older program does not have are zero. NULL
// is all defaults. A newer program may know more members only as long as it leaves them zero.
template <class Struct>
Result<Struct> ReadStruct(const Struct* given, const char* what) {
  Struct own{};
  if (given == nullptr) return own;
  const size_t size = given->struct_size;
  MVLM_TRY(CheckSize(size, what));
  std::memcpy(&own, given, std::min(size, sizeof(own)));
  const char* bytes = reinterpret_cast<const char*>(given);
  if (size > sizeof(own) &&
      std::any_of(bytes + sizeof(own), bytes + size, [](char byte) { return byte != 0; })) {
    return Fail("{}: {} bytes with members set that this library, which knows {} bytes, lacks", what, size,
                sizeof(own));
  }
  own.struct_size = sizeof(own);
  return own;
}

// Fills as much of *target as its size says, and zero where the caller knows more members than this library.
template <class Struct>
Status WriteStruct(const Struct& own, Struct* target, const char* what) {
  if (target == nullptr) return Fail("{}: the struct to fill is NULL", what);
  const size_t size = target->struct_size;
  MVLM_TRY(CheckSize(size, what));
  const size_t known = std::min(size, sizeof(own));
  char* bytes = reinterpret_cast<char*>(target);
  std::memcpy(bytes, &own, known);
  std::memset(bytes + known, 0, size - known);
  target->struct_size = size;
  return {};
}

}  // namespace mobilevlm::capi
