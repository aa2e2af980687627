// GradientBuckets: the optimizer's state between its full form, by parameter, and a process's pieces.
#include "train/parallel/gradient_buckets.h"

namespace mobilevlm::train {
namespace {

Result<torch::Tensor> StateOf(const NamedTensors& state, const std::string& name, const std::string& kind,
                              const torch::Tensor& parameter) {
  const auto found = state.find(name + "." + kind);
  if (found == state.end()) return Fail("optimizer state: nothing about parameter '{}' ({})", name, kind);
  if (found->second.sizes() != parameter.sizes()) {
    return Fail("optimizer state of '{}': wanted shape {}, found {}", name, c10::str(parameter.sizes()),
                c10::str(found->second.sizes()));
  }
  return found->second;
}

}  // namespace

GradientBuckets::StateStream::StateStream(GradientBuckets& buckets, NamedTensors own,
                                          const std::vector<std::string>& kinds)
    : buckets_(buckets), own_(std::move(own)) {
  for (size_t b = 0; b < buckets_.buckets_.size(); ++b) {
    const BucketLayout::Bucket& bucket = buckets_.layout_->buckets()[b];
    for (const std::string& kind : kinds) {
      for (size_t i = 0; i < bucket.parameters.size(); ++i) {
        const ParameterEntry parameter = buckets_.Entry(bucket.parameters[i]);
        entries_.push_back(
            {parameter.name + "." + kind, parameter.tensor.sizes().vec(), b, kind, bucket.offsets[i]});
      }
    }
  }
}

torch::Tensor GradientBuckets::StateStream::Next() {
  const torch::NoGradGuard no_gradients;
  const Entry& entry = entries_.at(next_);
  const bool first = buckets_.processes_.first();
  const bool begins =
      next_ == 0 || entries_[next_ - 1].bucket != entry.bucket || entries_[next_ - 1].kind != entry.kind;
  ++next_;
  if (!buckets_.sharded_) return first ? own_.at(entry.name) : torch::Tensor();
  if (begins) whole_ = Gather(entry.bucket, entry.kind);
  if (!first) return {};
  return whole_.slice(0, entry.offset, entry.offset + c10::multiply_integers(entry.shape)).view(entry.shape);
}

void GradientBuckets::StateStream::Finish() {
  while (next_ < entries_.size()) Next();
}

torch::Tensor GradientBuckets::StateStream::Gather(size_t bucket, const std::string& kind) const {
  const int64_t share = buckets_.layout_->share(bucket);
  ProcessGroup& processes = buckets_.processes_;
  const torch::TensorOptions options = Float32On(buckets_.Entry(0).tensor);
  const torch::Tensor part = torch::zeros({share}, options);
  for (const BucketLayout::Piece& piece : buckets_.pieces_) {
    if (piece.bucket != bucket) continue;
    const int64_t at = piece.offset - share * processes.rank();
    part.slice(0, at, at + piece.end - piece.begin).copy_(own_.at(buckets_.PieceName(piece) + "." + kind));
  }
  torch::Tensor whole = torch::empty({share * processes.size()}, options);
  processes.AllGather(part, whole).Wait();
  return whole;
}

Result<NamedTensors> GradientBuckets::OwnState(const NamedTensors& full,
                                               const std::vector<std::string>& kinds) const {
  NamedTensors own;
  for (const std::string& kind : kinds) {
    if (!sharded_) {
      for (const ParameterGroup& group : own_groups_) {
        for (const auto& [name, tensor] : group.parameters) {
          MVLM_ASSIGN(own[name + "." + kind], StateOf(full, name, kind, tensor));
        }
      }
      continue;
    }
    for (const BucketLayout::Piece& piece : pieces_) {
      const ParameterEntry entry = Entry(piece.parameter);
      MVLM_ASSIGN(const torch::Tensor whole, StateOf(full, entry.name, kind, entry.tensor));
      own[PieceName(piece) + "." + kind] = whole.reshape({-1}).slice(0, piece.begin, piece.end);
    }
  }
  return own;
}

}  // namespace mobilevlm::train
