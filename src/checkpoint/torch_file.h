// The files of torch.save since PyTorch 1.6 (pytorch_model.bin, adapter_model.bin): a zip of stored entries.
//
//   NAME/data.pkl   a pickle (checkpoint/pickle.h) of a dictionary from tensor names to calls of
//                   torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)
//   NAME/data/KEY   the elements of one storage, little-endian; several tensors may share one
//
// A storage is the persistent id ("storage", torch.HalfStorage, KEY, device, elements). Nothing of the pickle
// is executed; a global that is none of these is refused by name.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "checkpoint/named_tensor.h"

namespace mobilevlm {

// A parsed file, mapped read-only. Thread contract: immutable after Open.
class TorchFile {
 public:
  // An Error (one line, beginning with the path) if the file is missing, truncated, inconsistent, or asks for
  // anything but tensors.
  static Result<TorchFile> Open(const std::string& path);
  // The same from memory that outlives the result.
  static Result<TorchFile> Parse(std::span<const std::byte> bytes, const std::string& name);

  const std::vector<NamedTensor>& tensors() const { return tensors_; }  // in the order of the dictionary
  const std::vector<OtherTensor>& others() const { return others_; }
  const std::string& path() const { return path_; }

  // Gives the pages of a tensor's data back to the system; the bytes stay readable.
  void Release(std::span<const std::byte> data) const;

 private:
  friend class TorchParser;
  TorchFile() = default;

  std::vector<MappedFile> mapping_;  // one, or none if parsed from memory
  std::string path_;
  std::vector<NamedTensor> tensors_;
  std::vector<OtherTensor> others_;
};

}  // namespace mobilevlm
