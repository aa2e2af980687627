#include "train/tensor_memory.h"

#include <c10/core/CPUAllocator.h>
#include <fmt/format.h>

#include <stdexcept>

#include "train/cpu/block_cache.h"

namespace mobilevlm::train {
namespace {

constexpr size_t kLarge = size_t{1} << 20;  // malloc keeps smaller ones itself
constexpr uint8_t kPriority = 255;          // above libtorch's own

// Never destroyed: tensors of other static objects end after it.
BlockCache& Blocks() {
  static auto* blocks = new BlockCache();
  return *blocks;
}

void FreeLarge(void* block) { Blocks().Free(block); }

// oneDNN's scratch memory comes and goes as bare pointers.
void FreeAny(void* block) {
  if (Blocks().Owns(block)) {
    Blocks().Free(block);
  } else {
    c10::GetDefaultCPUAllocator()->raw_deleter()(block);
  }
}

class Allocator : public at::Allocator {
 public:
  at::DataPtr allocate(size_t bytes) const override {
    if (bytes < kLarge) return c10::GetDefaultCPUAllocator()->allocate(bytes);
    void* block = Blocks().Allocate(bytes);
    if (block == nullptr) throw std::runtime_error(fmt::format("no memory for a tensor of {} bytes", bytes));
    return {block, block, &FreeLarge, at::Device(at::DeviceType::CPU)};
  }
  at::DeleterFnPtr raw_deleter() const override { return &FreeAny; }
};

}  // namespace

void KeepTensorMemory() {
  static Allocator allocator;
  c10::SetCPUAllocator(&allocator, kPriority);
}

}  // namespace mobilevlm::train
