// The weights of a model directory, in whichever of the four layouts it has: model.safetensors, several
// safetensors with model.safetensors.index.json, pytorch_model.bin, several .bin with
// pytorch_model.bin.index.json. The first of these that is there is read, as Hugging Face's loader does.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/result.h"
#include "checkpoint/named_tensor.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/torch_file.h"

namespace mobilevlm {

// Mapped, not read: memory is used by what is touched, and Release gives it back. Thread contract: immutable
// after Open.
class WeightFiles {
 public:
  // An Error names the file that is missing or wrong. With an index: every file it names must be there, every
  // tensor in the file where it says, and no tensor in two files.
  static Result<WeightFiles> Open(const std::string& directory);
  // One file, safetensors or torch.save's, told apart by its first bytes.
  static Result<WeightFiles> OpenFile(const std::string& path);
  static bool Exist(const std::string& directory);

  std::vector<const NamedTensor*> tensors() const;  // by file, then as the file has them
  std::vector<OtherTensor> others() const;

  // nullptr if there is none of a readable type.
  const NamedTensor* Find(std::string_view name) const;
  // An Error that says whether it is missing or of a type that is not read.
  Result<const NamedTensor*> Require(std::string_view name) const;

  // The file that a tensor found here is in.
  const std::string& FileOf(const NamedTensor& tensor) const;
  // Gives its pages back to the system; the bytes stay readable.
  void Release(const NamedTensor& tensor) const;

  const std::string& path() const { return path_; }  // the directory, or the file

 private:
  using File = std::variant<SafetensorsFile, TorchFile>;
  struct Place {
    const NamedTensor* tensor;
    size_t file;
  };

  explicit WeightFiles(std::string path) : path_(std::move(path)) {}
  Status AddFile(const std::string& path);
  Status AddShards(const std::string& directory, const std::string& index_name);
  Status IndexTensors();

  std::string path_;
  std::vector<File> files_;
  std::unordered_map<std::string_view, Place> index_;  // keys and tensors point into files_
};

}  // namespace mobilevlm
