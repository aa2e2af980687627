#include "weights/weight_store.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>

#include "base/divide_up.h"

namespace mobilevlm {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kChunk = 16 * kHugePage;

}  // namespace

WeightStore::~WeightStore() {
  for (const Chunk& chunk : chunks_) ::munmap(chunk.data, chunk.size);
}

std::span<float> WeightStore::Floats(size_t count) { return {floats_.emplace_back().Reserve(count), count}; }

std::byte* WeightStore::Packed(size_t bytes) {
  const size_t wanted = RoundUp(bytes, 64);
  if (chunks_.empty() || chunks_.back().size - chunks_.back().used < wanted) {
    // One page more than needed, so that the chunk can begin at a huge page; untouched pages cost nothing.
    const size_t size = RoundUp(std::max(wanted, kChunk), kHugePage) + kHugePage;
    void* mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    ::madvise(mapped, size, MADV_HUGEPAGE);  // a wish: without it everything still works
    const size_t skip =
        RoundUp(reinterpret_cast<uintptr_t>(mapped), kHugePage) - reinterpret_cast<uintptr_t>(mapped);
    chunks_.push_back({static_cast<std::byte*>(mapped), size, skip});
  }
  Chunk& chunk = chunks_.back();
  std::byte* result = chunk.data + chunk.used;
  chunk.used += wanted;
  return result;
}

}  // namespace mobilevlm
