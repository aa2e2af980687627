// How the parameters of a model are packed into buckets, the blocks that processes exchange, and which part
// of every bucket a process owns when the optimizer's state is sharded (ZeRO stage 1: Rajbhandari et al.,
// 2020, section 5.1).
//
//     bucket 0 [ lm_head | last norm | ... | padding ]     parameters in reverse: the order of the backward
//     pass
//               rank 0   |  rank 1  |  rank 2              equal shares, whatever the parameters' borders
//
// Pure arithmetic: no tensors, no communication.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mobilevlm::train {

class BucketLayout {
 public:
  struct Bucket {
    std::vector<size_t> parameters;  // indices, in the order in which they lie there
    std::vector<int64_t> offsets;    // of each, in elements
    int64_t elements = 0;            // a multiple of the number of processes, padding included
  };
  // A run of one parameter's elements that lies in one process's share of one bucket.
  struct Piece {
    size_t parameter = 0;
    int64_t begin = 0, end = 0;  // elements of the flattened parameter
    size_t bucket = 0;
    int64_t offset = 0;  // of `begin`, in the bucket
  };

  // sizes: elements of every parameter; a parameter larger than `bucket_elements` has a bucket of its own.
  BucketLayout(const std::vector<int64_t>& sizes, int processes, int64_t bucket_elements);

  const std::vector<Bucket>& buckets() const { return buckets_; }
  // The bucket of a parameter, and its place there.
  size_t bucket_of(size_t parameter) const { return bucket_of_[parameter]; }
  int64_t offset_of(size_t parameter) const { return offset_of_[parameter]; }

  // Elements of one process's share of a bucket.
  int64_t share(size_t bucket) const { return buckets_[bucket].elements / processes_; }
  // Ordered by parameter, then by position.
  std::vector<Piece> PiecesOf(int rank) const;

 private:
  int processes_;
  std::vector<int64_t> sizes_;
  std::vector<Bucket> buckets_;
  std::vector<size_t> bucket_of_;
  std::vector<int64_t> offset_of_;
};

}  // namespace mobilevlm::train
