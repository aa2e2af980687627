#include "quality/annotation_writer.h"

#include <filesystem>
#include <utility>

namespace mobilevlm::quality {
namespace {

constexpr size_t kBuffer = 1 << 20;

std::filesystem::path Absolute(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::weakly_canonical(path.empty() ? "." : path, ignored);
}

// Whether the pictures of all files are found from the new file's directory by the paths they have.
bool RootsAre(const data::Dataset& dataset, const std::filesystem::path& directory) {
  for (size_t f = 0; f < dataset.files().size(); ++f) {
    if (Absolute(dataset.image_root(f)) != directory) return false;
  }
  return true;
}

}  // namespace

AnnotationWriter::AnnotationWriter(AtomicFile file, const data::Dataset& dataset, std::string directory,
                                   bool rewrite)
    : file_(std::move(file)), dataset_(&dataset), directory_(std::move(directory)), rewrite_(rewrite) {}

Result<AnnotationWriter> AnnotationWriter::Create(const std::string& path, const data::Dataset& dataset) {
  const std::filesystem::path directory = Absolute(std::filesystem::path(path).parent_path().string());
  for (const data::AnnotationFile& file : dataset.files()) {
    if (Absolute(file.path()) == Absolute(path)) {
      return Fail("{}: wanted a new file, found one of those that are read", path);
    }
  }
  MVLM_ASSIGN(AtomicFile file, AtomicFile::Create(path));
  MVLM_TRY(file.Write("[\n"));
  return AnnotationWriter(std::move(file), dataset, directory.string(),
                          !dataset.one_root_given() && !RootsAre(dataset, directory));
}

Status AnnotationWriter::Add(uint32_t sample) {
  if (written_++ > 0) buffer_ += ",\n";
  const auto [file, row] = dataset_->PlaceOf(sample);
  if (rewrite_ && dataset_->row(sample).pictures > 0) {
    MVLM_ASSIGN(const data::Sample content, dataset_->Read(sample, reader_));
    std::vector<std::string> images;
    for (const std::string& image : content.images) {
      const auto absolute = Absolute(dataset_->PicturePath(sample, image));
      images.push_back(absolute.lexically_relative(directory_).generic_string());
    }
    MVLM_ASSIGN(const std::string_view text, dataset_->files()[file].ReadText(row, reader_));
    auto rewritten = parser_.Rewrite(text, &images);
    if (!rewritten) return Fail("{}: {}", dataset_->NameOf(sample), rewritten.error().message);
    buffer_ += *rewritten;
  } else {
    MVLM_ASSIGN(const std::string_view text, dataset_->files()[file].ReadText(row, reader_));
    buffer_ += text;
  }
  if (buffer_.size() < kBuffer) return {};
  MVLM_TRY(file_.Write(buffer_));
  buffer_.clear();
  return {};
}

Status AnnotationWriter::Commit() {
  buffer_ += "\n]\n";
  MVLM_TRY(file_.Write(buffer_));
  return file_.Commit();
}

}  // namespace mobilevlm::quality
