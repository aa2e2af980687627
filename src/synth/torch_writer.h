// The files of torch.save: a zip of stored entries.
//
//   archive/data.pkl   a pickle of protocol 2: a dictionary from names to
//                      torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)
//   archive/data/N     the elements of storage N, one for each tensor, little-endian
//   archive/version    "3"
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "checkpoint/safetensors.h"

namespace mobilevlm {

// The dictionary alone, byte for byte as Python's pickle writes it.
std::string TorchPickle(std::span<const StreamedTensor> tensors);

// Writes atomically; types F32, F16, BF16, every stream gives what type and shape need (else abort). An Error
// of a stream or of the disk leaves no file.
Status WriteTorchFile(const std::string& path, std::span<const StreamedTensor> tensors);

}  // namespace mobilevlm
