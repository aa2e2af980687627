// One step's gradients: summed over micro-batches, then over processes while the backward pass still runs.
//
// Every parameter has its place in a bucket (BucketLayout). A hook of autograd takes each gradient the moment
// it is complete and adds it there, micro-batch after micro-batch in their order, so that threads do not
// change a bit of the sum. A bucket whose last gradient has come is sent off at once; the backward pass goes
// on.
//
// Two ways to share the work of the optimizer:
//   replicated   all-reduce: every process gets all sums and updates all parameters
//   sharded      ZeRO stage 1: reduce-scatter; every process gets the sums of its pieces, updates those,
//   keeps
//                optimizer state of those only, and all-gathers the parameters. The same traffic, 1/n of the
//                state, and two buckets more for what is under way.
//
// Thread contract: Backward from several threads, everything else from one.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "costs/training.h"
#include "train/parallel/bucket_layout.h"
#include "train/parallel/options.h"
#include "train/parallel/process_group.h"
#include "train/parameter_group.h"

namespace mobilevlm::train {

class GradientBuckets {
 public:
  static constexpr int64_t kBucketBytes = static_cast<int64_t>(costs::kExchangeBucketBytes);

  // The parameters of the groups, float32 or bfloat16, contiguous; sums are float32. `processes` outlives
  // this.
  GradientBuckets(const std::vector<ParameterGroup>& groups, ProcessGroup& processes, UpdateSharing sharing,
                  int64_t bucket_bytes = kBucketBytes);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  ProcessGroup& processes() const { return processes_; }

  // What this process updates: the groups themselves, or groups of flat pieces that share the parameters'
  // memory, named "weight[0:4096]". Their .grad is set by Finish, float32 also beside bfloat16.
  const std::vector<ParameterGroup>& own_groups() const { return own_groups_; }

  // Every process has rank 0's values afterwards.
  void BroadcastParameters();

  // A step: Begin, Backward for every micro-batch in [0, micro_batches) of this process (none is allowed, the
  // others' sums count then), Finish. A parameter that nobody used has a gradient of zero.
  void Begin(size_t micro_batches);
  // Adds weight * d loss / d parameters.
  void Backward(size_t micro_batch, const torch::Tensor& loss, double weight);
  // Instead of Backward, for a micro-batch that teaches nothing.
  void Skip(size_t micro_batch);
  // Waits for the other processes and multiplies all sums by `scale`.
  void Finish(double scale);

  // Scales all gradients so that their common norm, over all processes, is at most `limit` (0: leaves them).
  // Returns the norm before.
  double Clip(double limit);
  // After the optimizer has changed the own pieces: everyone gets everyone's. The gradients are lost.
  void ShareUpdates();

  // Full state, one tensor after another, so that rank 0 never has more of the others' than a bucket. `own`
  // has "<name of an own parameter>.<kind>" for every own parameter and every kind. All processes make one
  // and take all of it.
  class StateStream {
   public:
    StateStream(GradientBuckets& buckets, NamedTensors own, const std::vector<std::string>& kinds);

    struct Entry {
      std::string name;  // "<name of a parameter>.<kind>"
      std::vector<int64_t> shape;
      size_t bucket;
      std::string kind;
      int64_t offset;  // in the bucket
    };
    const std::vector<Entry>& entries() const { return entries_; }

    // The next entry's tensor, float32, until the next call; on other processes than rank 0 an undefined one.
    torch::Tensor Next();
    // Takes what is left.
    void Finish();

   private:
    torch::Tensor Gather(size_t bucket, const std::string& kind) const;

    GradientBuckets& buckets_;
    NamedTensors own_;
    std::vector<Entry> entries_;
    size_t next_ = 0;
    torch::Tensor whole_;  // sharded: of the bucket and kind of the last entry
  };
  // The reverse, without communication: full state, the same on every process, to this process's pieces,
  // whatever number of processes it was saved by. An Error names what is missing or misshapen.
  Result<NamedTensors> OwnState(const NamedTensors& full, const std::vector<std::string>& kinds) const;

  // Elements that this process updates: its optimizer state has as many of every kind.
  int64_t own_elements() const;

  // Seconds spent waiting for other processes since the last call: what overlap could not hide.
  double TakeWaitedSeconds();

 private:
  class Hook;
  struct Parameter;
  struct Bucket;

  struct ParameterEntry {
    const std::string& name;
    const torch::Tensor& tensor;
  };

  static torch::TensorOptions Float32On(const torch::Tensor& parameter);  // buckets live where parameters do
  ParameterEntry Entry(size_t parameter) const;
  std::string PieceName(const BucketLayout::Piece& piece) const;
  void Deliver(size_t parameter, size_t micro_batch, const torch::Tensor& gradient);
  void Complete(size_t parameter);
  void LaunchReady();
  void Reap(Bucket& bucket);
  torch::Tensor BufferOf(size_t bucket) const;
  void MakeOwnGroups(const std::vector<ParameterGroup>& groups);

  ProcessGroup& processes_;
  const bool sharded_;
  std::shared_ptr<GradientBuckets*> self_;  // the hooks outlive this where a graph holds them
  std::vector<std::unique_ptr<Parameter>> parameters_;
  std::unique_ptr<BucketLayout> layout_;
  std::vector<std::unique_ptr<Bucket>> buckets_;
  std::vector<torch::Tensor> buffers_;       // sharded: what is under way, bucket b in b modulo their number
  std::vector<BucketLayout::Piece> pieces_;  // of this process, in the order of own_groups_
  std::vector<ParameterGroup> own_groups_;

  size_t micro_batches_ = 0;
  std::vector<double> weights_;  // of the micro-batches
  std::mutex launching_;
  size_t next_bucket_ = 0;  // to send off: the same order on all processes
  double waited_ = 0;
};

}  // namespace mobilevlm::train
