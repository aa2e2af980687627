// TensorBoard event files: TFRecords of Event protocol buffers with scalar summaries.
//
//   record: u64 length | u32 masked crc32c of the length | data | u32 masked crc32c of the data
//   (little-endian) Event:  1 wall_time double | 2 step int64 | 3 file_version string | 5 summary | 7
//   session_log Summary: 1 value { 1 tag string | 2 simple_value float };  SessionLog: 1 status (1: START)
//
// Sources: tensorflow/core/lib/io/record_writer.cc, tensorflow/core/util/event.proto,
// framework/summary.proto.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace mobilevlm::train {

// Castagnoli's CRC-32, and TensorFlow's mask of it, which keeps a CRC of data that holds CRCs honest.
uint32_t Crc32c(std::string_view bytes);
uint32_t MaskedCrc32c(std::string_view bytes);

class EventFile {
 public:
  // DIR/events.out.tfevents.TIME.HOST.PID, new. Its first event tells TensorBoard to forget what earlier
  // files of the directory say of steps after `first_step`.
  static Result<EventFile> Create(const std::string& directory, int64_t first_step, double wall_time);

  // Appended and flushed at once. wall_time: seconds since 1970.
  Status Write(int64_t step, double wall_time, std::span<const std::pair<std::string, double>> scalars);

  const std::string& path() const { return path_; }

 private:
  using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

  EventFile(std::string path, File file) : path_(std::move(path)), file_(std::move(file)) {}
  Status Append(std::string_view event);

  std::string path_;
  File file_;
};

}  // namespace mobilevlm::train
