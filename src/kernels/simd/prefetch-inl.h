// Weights on their way from memory while those before them are multiplied.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace mobilevlm {
namespace {

// How far ahead a stream of weights is prefetched: far enough for memory.
constexpr size_t kPrefetchAhead = 8192;

// `base` may be nullptr and the sum lie outside of any array: nothing is read.
inline void Prefetch(const void* base, size_t offset) {
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(base) + offset));
}

// Asks for `bytes` bytes of the stream, `offset` and kPrefetchAhead behind `here`. Where the stream ends
// before that, at `end`, it goes on at `next`.
inline void PrefetchStream(const unsigned char* here, const unsigned char* end, const void* next,
                           size_t offset, size_t bytes) {
  const size_t left = static_cast<size_t>(end - here);
  const void* stream = left > kPrefetchAhead ? here : next;
  const size_t ahead = (left > kPrefetchAhead ? kPrefetchAhead : kPrefetchAhead - left) + offset;
  for (size_t byte = 0; byte < bytes; byte += 64) Prefetch(stream, ahead + byte);
}

}  // namespace
}  // namespace mobilevlm
