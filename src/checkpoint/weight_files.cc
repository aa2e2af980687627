#include "checkpoint/weight_files.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/check.h"
#include "base/parse_json.h"
#include "base/read_file.h"
#include "checkpoint/zip_archive.h"
#include "gguf/reader.h"

namespace mobilevlm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr uint64_t kMaxIndexBytes = 64 << 20;
constexpr std::string_view kIndexEnding = ".index.json";
constexpr std::array<const char*, 4> kLayouts = {"model.safetensors", "model.safetensors.index.json",
                                                 "pytorch_model.bin", "pytorch_model.bin.index.json"};

// The file of the directory that says which layout it is.
std::optional<std::string> FindLayout(const std::string& directory) {
  for (const char* name : kLayouts) {
    std::error_code ignored;
    if (fs::exists(fs::path(directory) / name, ignored)) return name;
  }
  return std::nullopt;
}

using ShardMap = std::map<std::string, std::vector<std::string>>;  // file -> tensors

// The weight_map of an index. Files must be names in the same directory, nothing that leads out of it.
Result<ShardMap> ReadIndex(const std::string& path) {
  MVLM_ASSIGN(const std::string text, ReadFile(path, kMaxIndexBytes));
  MVLM_ASSIGN(const Json json, ParseJson(text, path));
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    return Fail("{}: wanted a JSON object with weight_map", path);
  }
  ShardMap shards;
  for (const auto& [tensor, file] : json["weight_map"].items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    if (name.empty() || name.find_first_of("/\\") != std::string::npos || name == "..") {
      return Fail("{}: tensor {}: wanted the name of a file in this directory, found {}", path,
                  Printable(tensor), Printable(file.dump()));
    }
    shards[name].push_back(tensor);
  }
  if (shards.empty()) return Fail("{}: weight_map is empty", path);
  return shards;
}

// "model-00001-of-00003.safetensors" says 3; 0 if the name does not say.
size_t ShardsByName(const std::string& name) {
  const size_t at = name.rfind("-of-");
  if (at == std::string::npos) return 0;
  size_t count = 0;
  for (size_t i = at + 4; i < name.size() && name[i] >= '0' && name[i] <= '9' && count < 1'000'000; ++i) {
    count = 10 * count + static_cast<size_t>(name[i] - '0');
  }
  return count;
}

}  // namespace

bool WeightFiles::Exist(const std::string& directory) { return FindLayout(directory).has_value(); }

Result<WeightFiles> WeightFiles::Open(const std::string& directory) {
  const auto layout = FindLayout(directory);
  if (!layout) {
    return Fail("{}: there are no weights: wanted {}", directory, fmt::join(kLayouts, ", "));
  }
  WeightFiles files(directory);
  if (layout->ends_with(kIndexEnding)) {
    MVLM_TRY(files.AddShards(directory, *layout));
  } else {
    MVLM_TRY(files.AddFile(directory + "/" + *layout));
    MVLM_TRY(files.IndexTensors());
  }
  return files;
}

Result<WeightFiles> WeightFiles::OpenFile(const std::string& path) {
  WeightFiles files(path);
  MVLM_TRY(files.AddFile(path));
  MVLM_TRY(files.IndexTensors());
  return files;
}

Status WeightFiles::AddFile(const std::string& path) {
  MVLM_ASSIGN(const MappedFile probe, MappedFile::Open(path));
  if (ZipArchive::Recognise(probe.bytes()) || path.ends_with(".bin")) {
    MVLM_ASSIGN(TorchFile file, TorchFile::Open(path));
    files_.emplace_back(std::move(file));
  } else {
    MVLM_ASSIGN(SafetensorsFile file, SafetensorsFile::Open(path));
    files_.emplace_back(std::move(file));
  }
  return {};
}

Status WeightFiles::AddShards(const std::string& directory, const std::string& index_name) {
  const std::string index_path = directory + "/" + index_name;
  MVLM_ASSIGN(const ShardMap shards, ReadIndex(index_path));
  for (const auto& [name, tensors] : shards) {
    if (const size_t wanted = ShardsByName(name); wanted != 0 && wanted != shards.size()) {
      return Fail("{}: names {} files, but {} is one of {}", index_path, shards.size(), Printable(name),
                  wanted);
    }
    const std::string path = directory + "/" + name;
    std::error_code ignored;
    if (!fs::exists(path, ignored)) {
      return Fail("{}: names {}, which is missing", index_path, Printable(name));
    }
    MVLM_TRY(AddFile(path));
  }
  MVLM_TRY(IndexTensors());
  size_t file = 0;
  for (const auto& [name, tensors] : shards) {
    const std::vector<OtherTensor>& others = std::visit(
        [](const auto& f) -> const auto& { return f.others(); }, files_[file]);
    for (const std::string& tensor : tensors) {
      const auto found = index_.find(tensor);
      const auto same = [&](const OtherTensor& other) { return other.name == tensor; };
      const bool there = found != index_.end() ? found->second.file == file
                                               : std::any_of(others.begin(), others.end(), same);
      if (!there) {
        return Fail("{}: says that tensor {} is in {}, and it is not", index_path, Printable(tensor), name);
      }
    }
    ++file;
  }
  return {};
}

Status WeightFiles::IndexTensors() {
  for (size_t file = 0; file < files_.size(); ++file) {
    const auto& tensors = std::visit(
        [](const auto& f) -> const auto& { return f.tensors(); }, files_[file]);
    for (const NamedTensor& tensor : tensors) {
      const auto [place, added] = index_.try_emplace(tensor.name, Place{&tensor, file});
      if (!added) {
        return Fail("{}: tensor {} is also in {}", FileOf(tensor), tensor.name,
                    std::visit([](const auto& f) { return f.path(); }, files_[file]));
      }
    }
  }
  return {};
}

std::vector<const NamedTensor*> WeightFiles::tensors() const {
  std::vector<const NamedTensor*> all;
  for (const File& file : files_) {
    std::visit(
        [&](const auto& f) {
          for (const NamedTensor& tensor : f.tensors()) all.push_back(&tensor);
        },
        file);
  }
  return all;
}

std::vector<OtherTensor> WeightFiles::others() const {
  std::vector<OtherTensor> all;
  for (const File& file : files_) {
    std::visit([&](const auto& f) { all.insert(all.end(), f.others().begin(), f.others().end()); }, file);
  }
  return all;
}

const NamedTensor* WeightFiles::Find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : found->second.tensor;
}

Result<const NamedTensor*> WeightFiles::Require(std::string_view name) const {
  if (const NamedTensor* tensor = Find(name)) return tensor;
  return NotReadable(path_, name, others());
}

const std::string& WeightFiles::FileOf(const NamedTensor& tensor) const {
  const auto found = index_.find(tensor.name);
  MVLM_CHECK(found != index_.end(), "tensor {} is not of these files", tensor.name);
  return std::visit([](const auto& f) -> const std::string& { return f.path(); }, files_[found->second.file]);
}

void WeightFiles::Release(const NamedTensor& tensor) const {
  const auto found = index_.find(tensor.name);
  if (found == index_.end()) return;
  std::visit([&](const auto& f) { f.Release(tensor.data); }, files_[found->second.file]);
}

}  // namespace mobilevlm
