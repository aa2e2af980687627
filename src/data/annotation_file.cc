#include "data/annotation_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/content_hash.h"
#include "base/directories.h"
#include "data/annotation_index.h"

namespace mobilevlm::data {
namespace {

std::string CacheName(const std::string& annotations, const std::string& suffix) {
  std::error_code ignored;
  const std::string absolute = std::filesystem::weakly_canonical(annotations, ignored).string();
  return ToHex(HashBytes(absolute.data(), absolute.size())) + suffix;
}

// "/home/user/.cache/mobilevlm/HASH.suffix"; empty if there is no such place.
std::string CachePath(const std::string& annotations, const std::string& suffix) {
  const std::string name = CacheName(annotations, suffix);
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/') return fmt::format("{}/mobilevlm/{}", cache, name);
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') return fmt::format("{}/.cache/mobilevlm/{}", home, name);
  return {};
}

constexpr std::string_view kIndexSuffix = ".index";

// Where the index of `path` may be.
std::vector<std::string> IndexPaths(const std::string& path, const OpenOptions& options) {
  const std::string suffix(kIndexSuffix);
  if (!options.cache_directory.empty()) {
    return {(std::filesystem::path(options.cache_directory) / CacheName(path, suffix)).string()};
  }
  std::vector<std::string> paths = {path + suffix};
  if (std::string cached = CachePath(path, suffix); !cached.empty()) paths.push_back(std::move(cached));
  return paths;
}

}  // namespace

std::string CompanionPath(const std::string& annotations, const std::string& suffix) {
  std::string beside = annotations + suffix;
  const std::string directory = std::filesystem::path(annotations).parent_path().string();
  const std::string cached = CachePath(annotations, suffix);
  if (::access(directory.empty() ? "." : directory.c_str(), W_OK) == 0 || cached.empty()) return beside;
  (void)MakeDirectories(std::filesystem::path(cached).parent_path().string());
  return cached;
}

struct AnnotationFile::Data {
  std::string path;
  FileIdentity identity;
  AnnotationIndex index;
  bool indexed_now = false;
  int fd = -1;

  Data(std::string file, FileIdentity id, AnnotationIndex rows, bool now)
      : path(std::move(file)), identity(id), index(std::move(rows)), indexed_now(now) {}
  ~Data() {
    if (fd >= 0) ::close(fd);
  }
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;
};

AnnotationFile::AnnotationFile(std::unique_ptr<Data> data) : data_(std::move(data)) {}
AnnotationFile::AnnotationFile(AnnotationFile&&) noexcept = default;
AnnotationFile& AnnotationFile::operator=(AnnotationFile&&) noexcept = default;
AnnotationFile::~AnnotationFile() = default;

Result<AnnotationFile> AnnotationFile::Open(const std::string& path, const OpenOptions& options) {
  MVLM_ASSIGN(const FileIdentity identity, IdentifyFile(path));
  const std::vector<std::string> paths = IndexPaths(path, options);
  std::optional<AnnotationIndex> index;
  for (size_t i = 0; !index && i < paths.size(); ++i) index = OpenIndex(paths[i], identity);
  const bool build = !index;
  if (build) {
    // A directory that cannot be made shows as a file that cannot be created.
    (void)MakeDirectories(std::filesystem::path(paths.back()).parent_path().string());
    MVLM_TRY(BuildIndex(path, identity, paths, options));
    for (size_t i = 0; !index && i < paths.size(); ++i) index = OpenIndex(paths[i], identity);
    if (!index) return Fail("{}: its index changed while it was opened; try again", path);
  }
  auto data = std::make_unique<Data>(path, identity, *std::move(index), build);
  data->fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (data->fd < 0) return Fail("{}: cannot open: {}", path, std::strerror(errno));
  return AnnotationFile(std::move(data));
}

const std::string& AnnotationFile::path() const { return data_->path; }
std::span<const IndexRow> AnnotationFile::rows() const { return data_->index.rows; }
const std::vector<std::string>& AnnotationFile::source_names() const { return data_->index.sources; }
const std::vector<std::string>& AnnotationFile::kind_names() const { return data_->index.kinds; }
uint64_t AnnotationFile::fingerprint() const { return data_->identity.fingerprint; }
bool AnnotationFile::indexed_now() const { return data_->indexed_now; }

Result<std::string_view> AnnotationFile::ReadText(size_t row, SampleReader& reader) const {
  MVLM_CHECK(row < rows().size(), "row {} of {}", row, rows().size());
  const IndexRow& place = rows()[row];
  reader.buffer.resize(place.bytes + SampleParser::kPadding);
  for (size_t done = 0; done < place.bytes;) {
    const ssize_t n = ::pread(data_->fd, reader.buffer.data() + done, place.bytes - done,
                              static_cast<off_t>(place.offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      return Fail("{}: cannot read sample {}: {}", path(), row + 1,
                  n == 0 ? "the file has become shorter" : std::strerror(errno));
    done += static_cast<size_t>(n);
  }
  return std::string_view(reader.buffer).substr(0, place.bytes);
}

Result<Sample> AnnotationFile::Read(size_t row, SampleReader& reader) const {
  MVLM_ASSIGN(const std::string_view text, ReadText(row, reader));
  auto sample = reader.parser.Parse(text, /*padded=*/true);
  if (!sample) {
    return Fail("{}: byte {}: malformed JSON: {}", path(), rows()[row].offset + sample.error().byte,
                sample.error().message);
  }
  return *std::move(sample);
}

std::string AnnotationFile::NameOf(size_t row, const Sample* sample) const {
  if (sample == nullptr || sample->id.empty()) return fmt::format("{}: sample {}", path(), row + 1);
  return fmt::format("{}: sample {} (id {})", path(), row + 1, sample->id);
}

}  // namespace mobilevlm::data
