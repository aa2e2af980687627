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

NamedTensors GradientBuckets::GatherState(const NamedTensors& own, const std::vector<std::string>& kinds) {
  if (!sharded_) return processes_.first() ? own : NamedTensors{};
  const torch::NoGradGuard no_gradients;
  NamedTensors full;
  for (size_t b = 0; b < buckets_.size(); ++b) {
    const int64_t share = layout_->share(b);
    const torch::TensorOptions options =
        torch::TensorOptions(torch::kFloat32).device(Entry(0).tensor.device());
    for (const std::string& kind : kinds) {
      const torch::Tensor part = torch::zeros({share}, options);
      for (const BucketLayout::Piece& piece : pieces_) {
        if (piece.bucket != b) continue;
        const int64_t at = piece.offset - share * processes_.rank();
        part.slice(0, at, at + piece.end - piece.begin).copy_(own.at(PieceName(piece) + "." + kind));
      }
      const torch::Tensor whole = torch::empty({share * processes_.size()}, options);
      processes_.AllGather(part, whole).Wait();
      if (!processes_.first()) continue;
      const BucketLayout::Bucket& bucket = layout_->buckets()[b];
      for (size_t i = 0; i < bucket.parameters.size(); ++i) {
        const ParameterEntry entry = Entry(bucket.parameters[i]);
        full[entry.name + "." + kind] =
            whole.slice(0, bucket.offsets[i], bucket.offsets[i] + entry.tensor.numel())
                .view(entry.tensor.sizes())
                .clone();
      }
    }
  }
  return full;
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
