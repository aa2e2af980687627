#include "data/annotation_index.h"

#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <unordered_map>
#include <utility>

#include "base/atomic_file.h"
#include "base/checked_math.h"
#include "base/progress.h"
#include "base/thread_pool.h"
#include "data/question_kind.h"
#include "data/record_splitter.h"

namespace mobilevlm::data {
namespace {

constexpr uint64_t kMagic = 0x315844494D4C564Dull;  // "MVLMIDX1"
constexpr uint64_t kVersion = 2;                    // counts every change of the layout or of what is stored
constexpr size_t kBatch = 4096;                     // samples parsed at a time
constexpr size_t kShownBytes =
    64 << 20;                        // smaller files are indexed before anyone could read a progress line
constexpr size_t kMostNames = 4096;  // further ones are "other"

struct Footer {
  uint64_t magic = kMagic;
  uint64_t version = kVersion;
  uint64_t rows = 0;
  uint64_t name_bytes = 0;
  FileIdentity identity;
  uint64_t content_hash = 0;  // of rows and names
  uint64_t footer_hash = 0;   // of the fields above
};
static_assert(sizeof(Footer) == 72);

uint64_t HashOf(const Footer& footer) { return XXH3_64bits(&footer, offsetof(Footer, footer_hash)); }

// Numbers of names, in the order of their first appearance.
class Names {
 public:
  uint16_t NumberOf(const std::string& name) {
    const auto found = numbers_.find(name);
    if (found != numbers_.end()) return found->second;
    if (names_.size() >= kMostNames && name != "other") return NumberOf("other");
    names_.push_back(name);
    return numbers_[name] = static_cast<uint16_t>(names_.size() - 1);
  }
  void AppendTo(std::string& out) const {
    const auto put = [&](uint32_t value) {
      out.append(reinterpret_cast<const char*>(&value), sizeof(value));
    };
    put(static_cast<uint32_t>(names_.size()));
    for (const std::string& name : names_) {
      put(static_cast<uint32_t>(name.size()));
      out += name;
    }
  }

 private:
  std::unordered_map<std::string, uint16_t> numbers_;
  std::vector<std::string> names_;
};

std::string SourceOf(const Sample& sample) {
  if (sample.images.empty()) return "text only";
  std::string_view path = sample.images.front();
  while (path.starts_with("./") || path.starts_with("../")) path.remove_prefix(path.find('/') + 1);
  const size_t slash = path.find('/', 1);
  return slash == std::string_view::npos ? "(no directory)" : std::string(path.substr(0, slash));
}

template <class T>
T Clamp(size_t value) {
  return static_cast<T>(std::min<size_t>(value, std::numeric_limits<T>::max()));
}

struct Parsed {
  IndexRow row;
  std::string source, kind;
  std::optional<JsonError> error;
};

Parsed ParseOne(std::string_view file, const RecordSplitter::Range& range, SampleParser& parser) {
  Parsed result;
  const bool padded = file.size() - range.offset - range.size >= SampleParser::kPadding;
  auto sample = parser.Parse(file.substr(range.offset, range.size), padded);
  if (!sample) {
    result.error = std::move(sample.error());
    result.error->byte += range.offset;
    return result;
  }
  result.row = {.offset = range.offset,
                .bytes = static_cast<uint32_t>(range.size),
                .words = sample->words,
                .answer_words = sample->answer_words,
                .rounds = Clamp<uint16_t>(sample->turns.size()),
                .pictures = Clamp<uint16_t>(sample->images.size()),
                .defect = sample->defect,
                .notes = sample->notes};
  result.source = SourceOf(*sample);
  result.kind = QuestionKind(*sample);
  return result;
}

// Reads the annotations once from front to back, a batch at a time, and writes rows as it goes.
class Builder {
 public:
  Builder(MappedFile annotations, AtomicFile out, const OpenOptions& options)
      : annotations_(std::move(annotations)),
        text_(reinterpret_cast<const char*>(annotations_.bytes().data()), annotations_.bytes().size()),
        out_(std::move(out)),
        options_(options),
        pool_(options.threads),
        parsers_(static_cast<size_t>(pool_.threads())),
        hash_(XXH3_createState(), XXH3_freeState) {
    XXH3_64bits_reset(hash_.get());
  }

  Status Run(const FileIdentity& identity) {
    std::optional<Progress> progress;
    if (options_.progress && text_.size() >= kShownBytes)
      progress.emplace("indexing " + annotations_.path() + ", MiB", text_.size() >> 20);
    RecordSplitter splitter(text_);
    size_t released = 0;
    for (bool more = true; more;) {
      if (options_.cancel != nullptr && *options_.cancel) {
        return Fail("{}: stopped while indexing; nothing was written", annotations_.path());
      }
      MVLM_ASSIGN(more, FillBatch(splitter));
      MVLM_TRY(ParseBatch());
      const size_t end = ranges_.empty() ? released : ranges_.back().offset;
      annotations_.Release(annotations_.bytes().subspan(released, end - released));
      released = end;
      if (progress) progress->Update(end >> 20, fmt::format("{} samples", rows_));
    }
    return Finish(identity);
  }

 private:
  tl::unexpected<Error> Malformed(const JsonError& error) const {
    return Fail("{}: byte {}: malformed JSON: {}", annotations_.path(), error.byte, error.message);
  }

  // True if there may be more.
  Result<bool> FillBatch(RecordSplitter& splitter) {
    ranges_.clear();
    while (ranges_.size() < kBatch) {
      auto range = splitter.Next();
      if (!range) {
        // What is wrong inside an object that was split off before is nearer to the cause.
        MVLM_TRY(ParseBatch());
        return Malformed(range.error());
      }
      if (!*range) return false;
      if ((*range)->size > std::numeric_limits<uint32_t>::max()) {
        return Fail("{}: byte {}: a sample of {} bytes", annotations_.path(), (*range)->offset,
                    (*range)->size);
      }
      ranges_.push_back(**range);
    }
    return true;
  }

  Status ParseBatch() {
    parsed_.resize(ranges_.size());
    pool_.ParallelFor(ranges_.size(), [&](size_t i, size_t thread) {
      parsed_[i] = ParseOne(text_, ranges_[i], parsers_[thread]);
    });
    std::vector<IndexRow> rows;
    for (Parsed& parsed : parsed_) {
      if (parsed.error) return Malformed(*parsed.error);
      parsed.row.source = sources_.NumberOf(parsed.source);
      parsed.row.kind = kinds_.NumberOf(parsed.kind);
      rows.push_back(parsed.row);
    }
    rows_ += rows.size();
    return Append(rows.data(), rows.size() * sizeof(IndexRow));
  }

  Status Append(const void* data, size_t size) {
    XXH3_64bits_update(hash_.get(), data, size);
    return out_.Write(data, size);
  }

  Status Finish(const FileIdentity& identity) {
    if (rows_ == 0) return Fail("{}: there is no sample in it", annotations_.path());
    std::string names;
    sources_.AppendTo(names);
    kinds_.AppendTo(names);
    MVLM_TRY(Append(names.data(), names.size()));
    Footer footer;
    footer.rows = rows_;
    footer.name_bytes = names.size();
    footer.identity = identity;
    footer.content_hash = XXH3_64bits_digest(hash_.get());
    footer.footer_hash = HashOf(footer);
    MVLM_TRY(out_.Write(&footer, sizeof(footer)));
    return out_.Commit();
  }

  MappedFile annotations_;
  std::string_view text_;
  AtomicFile out_;
  const OpenOptions& options_;
  ThreadPool pool_;
  std::vector<SampleParser> parsers_;  // one a thread
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> hash_;
  std::vector<RecordSplitter::Range> ranges_;
  std::vector<Parsed> parsed_;
  Names sources_, kinds_;
  size_t rows_ = 0;
};

bool TakeNames(std::span<const std::byte>& bytes, std::vector<std::string>& names) {
  const auto take = [&](uint32_t& value) {
    if (bytes.size() < sizeof(value)) return false;
    std::memcpy(&value, bytes.data(), sizeof(value));
    bytes = bytes.subspan(sizeof(value));
    return true;
  };
  uint32_t count = 0;
  if (!take(count)) return false;
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t size = 0;
    if (!take(size) || size > bytes.size()) return false;
    names.emplace_back(reinterpret_cast<const char*>(bytes.data()), size);
    bytes = bytes.subspan(size);
  }
  return true;
}

}  // namespace

Result<FileIdentity> IdentifyFile(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return Fail("{}: cannot open: {}", path, std::strerror(errno));
  if (!S_ISREG(info.st_mode)) return Fail("{}: wanted a regular file", path);
  FileIdentity identity;
  identity.bytes = static_cast<uint64_t>(info.st_size);
  identity.changed_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;

  constexpr uint64_t kEnd = 1 << 20, kPart = 1 << 16, kParts = 64;
  std::ifstream file(path, std::ios::binary);
  if (!file) return Fail("{}: cannot open: {}", path, std::strerror(errno));
  std::string sample;
  for (uint64_t i = 0; i < kParts; ++i) {
    const uint64_t size = i == 0 || i + 1 == kParts ? kEnd : kPart;
    const uint64_t last = identity.bytes > size ? identity.bytes - size : 0;
    std::string part(static_cast<size_t>(std::min(size, identity.bytes)), '\0');
    file.clear();
    file.seekg(
        static_cast<std::streamoff>(last / (kParts - 1) * i + (i + 1 == kParts ? last % (kParts - 1) : 0)));
    file.read(part.data(), static_cast<std::streamsize>(part.size()));
    sample += part;
    if (identity.bytes <= kEnd) break;
  }
  identity.fingerprint = XXH3_64bits_withSeed(sample.data(), sample.size(), identity.bytes);
  return identity;
}

std::optional<AnnotationIndex> OpenIndex(const std::string& path, const FileIdentity& identity) {
  auto file = MappedFile::Open(path);
  Footer footer;
  if (!file || file->bytes().size() < sizeof(footer)) return std::nullopt;
  const std::span<const std::byte> bytes = file->bytes();
  std::memcpy(&footer, bytes.data() + bytes.size() - sizeof(footer), sizeof(footer));
  if (footer.magic != kMagic || footer.version != kVersion || footer.footer_hash != HashOf(footer) ||
      footer.identity != identity) {
    return std::nullopt;
  }
  const auto row_bytes = CheckedMul(footer.rows, sizeof(IndexRow));
  const size_t content = bytes.size() - sizeof(footer);
  if (!row_bytes || CheckedAdd(*row_bytes, footer.name_bytes) != content) return std::nullopt;
  if (XXH3_64bits(bytes.data(), content) != footer.content_hash) return std::nullopt;

  std::vector<std::string> sources, kinds;
  std::span<const std::byte> names = bytes.subspan(*row_bytes, footer.name_bytes);
  if (!TakeNames(names, sources) || !TakeNames(names, kinds) || !names.empty()) return std::nullopt;
  const std::span rows(reinterpret_cast<const IndexRow*>(bytes.data()), footer.rows);
  for (const IndexRow& row : rows) {
    if (!RangeFits(row.offset, row.bytes, identity.bytes) || row.source >= sources.size() ||
        row.kind >= kinds.size() || row.defect >= Defect::kCount) {
      return std::nullopt;
    }
  }
  return AnnotationIndex{*std::move(file), rows, std::move(sources), std::move(kinds)};
}

Status BuildIndex(const std::string& annotations, const FileIdentity& identity,
                  const std::vector<std::string>& paths, const OpenOptions& options) {
  MVLM_ASSIGN(MappedFile file, MappedFile::Open(annotations));
  Status first;
  for (const std::string& path : paths) {
    auto out = AtomicFile::Create(path);
    if (out) return Builder(std::move(file), *std::move(out), options).Run(identity);
    if (first) first = tl::unexpected(out.error());
  }
  return Context(first.error(), "{}: its index", annotations);
}

}  // namespace mobilevlm::data
