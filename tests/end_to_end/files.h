// Files for the tests of the executable: a directory of their own, and real files with one thing wrong.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "golden.h"

namespace mobilevlm::golden {

inline std::string Slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

// A directory that exists as long as the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "mobilevlm-test-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string Path(const std::string& name) const { return (path_ / name).string(); }
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name), std::ios::binary) << bytes;
    return Path(name);
  }

 private:
  std::filesystem::path path_;
};

// The entry of a tensor in a GGUF header: name, u32 dimensions, u64 each (innermost first), u32 type.
class GgufEntry {
 public:
  GgufEntry(std::string& bytes, const std::string& name) : bytes_(bytes) {
    std::string key(8, '\0');
    const uint64_t length = name.size();
    std::memcpy(key.data(), &length, 8);
    const size_t at = bytes.find(key + name);
    EXPECT_NE(at, std::string::npos) << name;
    dimensions_ = at + 8 + name.size();
  }
  void SwapDimensions() {
    uint64_t a = 0, b = 0;
    std::memcpy(&a, At(4), 8);
    std::memcpy(&b, At(12), 8);
    EXPECT_NE(a, b) << "swapping would change nothing";
    std::memcpy(At(4), &b, 8);
    std::memcpy(At(12), &a, 8);
  }
  void SetFirstDimension(uint64_t extent) { std::memcpy(At(4), &extent, 8); }
  void SetType(uint32_t type) {
    uint32_t count = 0;
    std::memcpy(&count, At(0), 4);
    std::memcpy(At(4 + 8 * count), &type, 4);
  }

 private:
  char* At(size_t offset) { return bytes_.data() + dimensions_ + offset; }

  std::string& bytes_;
  size_t dimensions_ = 0;
};

// Overwrites the value of a metadata key of type u32 (4): name, u32 type, value.
inline void SetGgufU32(std::string& bytes, const std::string& key, uint32_t value) {
  constexpr uint32_t kU32 = 4;
  const size_t at = bytes.find(key);
  ASSERT_NE(at, std::string::npos) << key;
  uint32_t type = 0;
  std::memcpy(&type, &bytes[at + key.size()], sizeof(type));
  ASSERT_EQ(type, kU32) << key;
  std::memcpy(&bytes[at + key.size() + sizeof(type)], &value, sizeof(value));
}

// The CRC-32 of PNG chunks (ISO 3309).
inline uint32_t Crc32(const std::string& bytes) {
  uint32_t crc = 0xFFFFFFFFu;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0xEDB88320u : 0u);
  }
  return ~crc;
}

// A PNG whose header, correctly sealed, claims another size than its data has.
inline std::string PngOfSize(std::string png, uint32_t width, uint32_t height) {
  const auto put = [&](size_t at, uint32_t value) {
    for (size_t i = 0; i < 4; ++i) png[at + i] = static_cast<char>(value >> (24 - 8 * i));
  };
  put(16, width);
  put(20, height);
  put(29, Crc32(png.substr(12, 17)));
  return png;
}

}  // namespace mobilevlm::golden
