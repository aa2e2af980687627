#include "checkpoint/zip_archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/read_file.h"

namespace mobilevlm {
namespace {

using ::testing::HasSubstr;

std::string Fixture(const std::string& name) {
  return ReadFile(MOBILEVLM_SOURCE_DIR "/tests/golden/torch_bin/" + name, 1 << 20).value();
}

std::string ZipError(const std::string& bytes) {
  const auto archive = ZipArchive::Parse(std::as_bytes(std::span(bytes)), "x");
  return archive ? "" : archive.error().message;
}

// Overwrites a number of entry `index` in the central directory, at `offset` of its header.
template <class T>
std::string WithEntryField(std::string bytes, int index, size_t offset, T value) {
  size_t at = 0;
  for (int i = 0; i <= index; ++i) at = bytes.find("PK\x01\x02", at + 1);
  EXPECT_NE(at, std::string::npos);
  std::memcpy(&bytes[at + offset], &value, sizeof(value));
  return bytes;
}

TEST(ZipArchive, EntriesOfBothKinds) {
  for (const std::string name : {"tensors", "zip64"}) {
    const std::string bytes = Fixture(name + ".bin");
    const auto archive = ZipArchive::Parse(std::as_bytes(std::span(bytes)), "x");
    ASSERT_TRUE(archive) << archive.error().message;
    EXPECT_EQ(archive->entries().size(), 7u);
    const ZipEntry* version = archive->Find(name + "/version");
    ASSERT_NE(version, nullptr);
    EXPECT_EQ(std::memcmp(version->data.data(), "3\n", 2), 0);
    EXPECT_EQ(version->data.size(), 2u);
    EXPECT_EQ(archive->Find("version"), nullptr);
  }
  EXPECT_NE(Fixture("zip64.bin").find("PK\x06\x06"), std::string::npos) << "the fixture must be a zip64 file";
}

TEST(ZipArchive, ACommentAtTheEndIsSkipped) {
  std::string bytes = Fixture("tensors.bin");
  bytes[bytes.size() - 2] = 5;
  bytes += "PK\x05\x06!";
  EXPECT_EQ(ZipError(bytes), "");
}

TEST(ZipArchiveBad, Directories) {
  const std::string good = Fixture("tensors.bin");
  ASSERT_EQ(ZipError(good), "");
  EXPECT_THAT(ZipError("PK"), HasSubstr("no zip file"));
  EXPECT_THAT(ZipError(good.substr(0, good.size() - 1)), HasSubstr("truncated?"));
  const auto with_end = [&](size_t offset, uint32_t value, size_t size) {
    std::string bytes = good;
    std::memcpy(&bytes[bytes.size() - 22 + offset], &value, size);
    return ZipError(bytes);
  };
  EXPECT_THAT(with_end(10, 0xFFFF, 2), HasSubstr("does not fit"));      // entries
  EXPECT_THAT(with_end(12, 0xFFFFFFF0, 4), HasSubstr("does not fit"));  // bytes
  EXPECT_THAT(with_end(16, 0xFFFFFFF0, 4), HasSubstr("does not fit"));  // offset
  EXPECT_THAT(with_end(16, 3, 4), HasSubstr("entry 0 of the zip directory is broken"));
}

TEST(ZipArchiveBad, Entries) {
  const std::string good = Fixture("tensors.bin");
  EXPECT_THAT(ZipError(WithEntryField<uint16_t>(good, 1, 8, 1)), HasSubstr("byteorder is encrypted"));
  EXPECT_THAT(ZipError(WithEntryField<uint16_t>(good, 0, 10, 8)),
              HasSubstr("data.pkl is compressed (method 8"));
  EXPECT_THAT(ZipError(WithEntryField<uint32_t>(good, 0, 24, 1u << 31)), HasSubstr("is compressed"));
  std::string bomb = WithEntryField<uint32_t>(good, 2, 20, 1u << 31);
  bomb = WithEntryField<uint32_t>(bomb, 2, 24, 1u << 31);
  EXPECT_THAT(ZipError(bomb), HasSubstr("2147483648 bytes at"));
  EXPECT_THAT(ZipError(WithEntryField<uint32_t>(good, 2, 42, 0xFFFFFFF0)),
              HasSubstr("should begin at 4294967280"));
  EXPECT_THAT(ZipError(WithEntryField<uint32_t>(good, 2, 42, 0xFFFFFFFF)),
              HasSubstr("broken"));  // no zip64 field
  EXPECT_THAT(ZipError(WithEntryField<uint32_t>(good, 1, 42, 0)), HasSubstr("overlap"));
  EXPECT_THAT(ZipError(WithEntryField<uint16_t>(good, 0, 28, 0xFFFF)), HasSubstr("broken"));
}

}  // namespace
}  // namespace mobilevlm
