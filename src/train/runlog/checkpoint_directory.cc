#include "train/runlog/checkpoint_directory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <vector>

#include "base/atomic_file.h"
#include "base/directories.h"
#include "base/parse_json.h"
#include "base/read_file.h"

namespace mobilevlm::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "checkpoint-";
constexpr std::string_view kUnfinished = ".unfinished-";
constexpr uint64_t kMaxStateBytes = 16 << 20;

std::optional<int64_t> StepOf(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const char* begin = name.data() + kPrefix.size();
  const char* end = name.data() + name.size();
  int64_t step = 0;
  const auto [rest, error] = std::from_chars(begin, end, step);
  return error == std::errc() && rest == end && step >= 0 ? std::optional(step) : std::nullopt;
}

// What it holds beside its state is written before it.
bool IsCheckpoint(const fs::path& path) {
  std::error_code error;
  return fs::exists(path / "state.json", error);
}

std::vector<CheckpointPlace> AllCheckpoints(const std::string& directory) {
  std::vector<CheckpointPlace> places;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const auto step = StepOf(entry.path().filename().string());
    if (step && IsCheckpoint(entry.path())) places.push_back({*step, entry.path().string()});
  }
  std::sort(places.begin(), places.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  return places;
}

// Names of new files are on the disk only when their directory is.
Status SyncDirectory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  return synced ? Status() : Fail("{}: cannot sync: {}", path, std::strerror(error));
}

void RemoveUnfinished(const std::string& directory) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (entry.path().filename().string().starts_with(kUnfinished)) fs::remove_all(entry.path(), error);
  }
}

// Under another name first: a kill in the middle leaves nothing that has a checkpoint's name, and what it
// leaves goes with the next save. One that cannot be renamed stays whole.
void Remove(const std::string& directory, const std::string& name) {
  std::error_code error;
  const fs::path aside = fs::path(directory) / fmt::format("{}{}", kUnfinished, name);
  fs::rename(fs::path(directory) / name, aside, error);
  if (!error) fs::remove_all(aside, error);
}

// Replaces the link in one step; a file system without links does without.
void PointLatest(const std::string& directory, const std::string& name) {
  std::error_code error;
  const fs::path link = fs::path(directory) / "latest", fresh = fs::path(directory) / ".latest";
  fs::remove(fresh, error);
  fs::create_directory_symlink(name, fresh, error);
  if (!error) fs::rename(fresh, link, error);
}

}  // namespace

std::optional<CheckpointPlace> LatestCheckpoint(const std::string& directory) {
  const std::vector<CheckpointPlace> places = AllCheckpoints(directory);
  return places.empty() ? std::nullopt : std::optional(places.back());
}

Status SaveCheckpoint(const std::string& directory, int64_t step, int64_t keep,
                      const std::function<Status(const std::string& path)>& write) {
  MVLM_TRY(MakeDirectories(directory));
  RemoveUnfinished(directory);
  const std::string name = fmt::format("{}{:08}", kPrefix, step),
                    path = fmt::format("{}/{}", directory, name);
  const std::string unfinished = fmt::format("{}/{}{}", directory, kUnfinished, name);
  std::error_code error;
  if (!IsCheckpoint(path)) {
    if (fs::exists(path, error)) Remove(directory, name);  // a kill's, of a version that removed in place
    Status status = MakeDirectories(unfinished);
    if (status) status = write(unfinished);
    if (status) status = SyncDirectory(unfinished);
    if (status) {
      fs::rename(unfinished, path, error);
      if (error) status = Fail("{}: cannot rename the finished checkpoint: {}", path, error.message());
    }
    if (!status) {
      fs::remove_all(unfinished, error);
      return status;
    }
    MVLM_TRY(SyncDirectory(directory));
  }
  PointLatest(directory, name);
  const std::vector<CheckpointPlace> places = AllCheckpoints(directory);
  const size_t old = places.size() - std::min(places.size(), static_cast<size_t>(std::max<int64_t>(keep, 1)));
  for (size_t i = 0; i < old; ++i) Remove(directory, fs::path(places[i].path).filename().string());
  return {};
}

Status WriteState(const std::string& checkpoint, const nlohmann::json& state) {
  return WriteFileAtomically(checkpoint + "/state.json", state.dump(1) + "\n");
}

Result<nlohmann::json> ReadState(const std::string& checkpoint) {
  const std::string path = checkpoint + "/state.json";
  MVLM_ASSIGN(const std::string text, ReadFile(path, kMaxStateBytes));
  nlohmann::json state = ParseJson(text, path).value_or(nullptr);
  if (!state.is_object() || !state.contains("step") || !state["step"].is_number_unsigned()) {
    return Fail("{}: wanted an object with a step", path);
  }
  return state;
}

}  // namespace mobilevlm::train
