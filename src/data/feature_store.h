// What a frozen tower says about pictures, kept on disk in half precision so that it is computed once: 1.18
// MB a picture for CLIP ViT-L/14 at 336 pixels.
//
// A record is found by the picture as the tower gets it (its pixels after preprocessing), so by content and
// preprocessing together; the store's name carries a tag that stands for the tower's weights and the
// normalisation. Records are only appended. Every writing process has a shard of its own, TAG-0.f16 and
// TAG-0.keys and so on, and reads all shards that are there when it opens; a crash costs at most the record
// that was being written.
//
// Thread contract: Get and Put may be called concurrently.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/content_hash.h"
#include "base/result.h"
#include "image/image.h"

namespace mobilevlm::data {

// `prepared` is what ResizeForModel gives.
Hash128 FeatureKey(const Image& prepared);

class FeatureStore {
 public:
  // Makes the directory if it is missing. `elements`: halves of a record, the same for all.
  static Result<FeatureStore> Open(const std::string& directory, const Hash128& tag, size_t elements);
  FeatureStore(FeatureStore&&) noexcept;
  FeatureStore& operator=(FeatureStore&&) noexcept;
  ~FeatureStore();

  // Fills `halves` [elements] and returns true if the picture is there and its record whole.
  bool Get(const Hash128& key, std::span<uint16_t> halves) const;
  // Keeps a record; a second one for the same key is ignored. A full disk is an Error, and the store stays
  // usable.
  Status Put(const Hash128& key, std::span<const uint16_t> halves);

  size_t size() const;  // records

 private:
  struct Data;
  explicit FeatureStore(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

}  // namespace mobilevlm::data
