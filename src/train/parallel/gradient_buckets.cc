#include "train/parallel/gradient_buckets.h"

#include <torch/csrc/autograd/function_hook.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>

#include "base/check.h"

namespace mobilevlm::train {
namespace {

using Clock = std::chrono::steady_clock;

double Elapsed(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Sharded: buckets that travel at the same time. Each of them is there a second time while it does, in one of
// so many buffers, so that a slow network does not cost the memory that the shared state saves.
constexpr size_t kUnderWay = 2;

// The backward pass of this thread: whose, and of which micro-batch. Graphs of CPU tensors run on the thread
// that calls backward.
struct Running {
  const GradientBuckets* owner = nullptr;
  size_t micro_batch = 0;
};
thread_local Running running;

class RunningGuard {
 public:
  explicit RunningGuard(Running now) : previous_(std::exchange(running, now)) {}
  ~RunningGuard() { running = previous_; }
  RunningGuard(const RunningGuard&) = delete;
  RunningGuard& operator=(const RunningGuard&) = delete;

 private:
  Running previous_;
};

torch::Tensor Flat(const torch::Tensor& parameter) { return parameter.detach().view({-1}); }

}  // namespace

struct GradientBuckets::Parameter {
  std::string name;
  torch::Tensor tensor;
  torch::Tensor sum;  // view of its bucket, shaped like the parameter
  std::shared_ptr<torch::autograd::Node> accumulator;

  std::mutex mutex;
  size_t next = 0;                   // micro-batch to be added
  std::vector<torch::Tensor> early;  // [micro_batches], those that came before their turn
  std::vector<uint8_t> came;         // [micro_batches]
  bool touched = false;              // the sum holds something
};

struct GradientBuckets::Bucket {
  torch::Tensor flat;  // [elements] float32
  std::atomic<size_t> missing{0};
  ProcessGroup::Pending pending;
  torch::Tensor received;  // sharded, while it is under way: [processes * share], in a buffer
};

// Sits before the node that would add a gradient to .grad, and takes it.
class GradientBuckets::Hook : public torch::autograd::FunctionPreHook {
 public:
  Hook(std::weak_ptr<GradientBuckets*> owner, size_t parameter)
      : owner_(std::move(owner)), parameter_(parameter) {}

  torch::autograd::variable_list operator()(const torch::autograd::variable_list& gradients) override {
    const std::shared_ptr<GradientBuckets*> owner = owner_.lock();
    if (!owner || running.owner != *owner) return gradients;
    (*owner)->Deliver(parameter_, running.micro_batch, gradients.at(0));
    return {torch::Tensor()};  // nothing is left to accumulate
  }

 private:
  std::weak_ptr<GradientBuckets*> owner_;
  size_t parameter_;
};

GradientBuckets::GradientBuckets(const std::vector<ParameterGroup>& groups, ProcessGroup& processes,
                                 UpdateSharing sharing, int64_t bucket_bytes)
    : processes_(processes),
      sharded_(sharing == UpdateSharing::kSharded && !processes.alone()),
      self_(std::make_shared<GradientBuckets*>(this)) {
  std::vector<int64_t> sizes;
  for (const ParameterGroup& group : groups) {
    for (const auto& [name, tensor] : group.parameters) {
      MVLM_CHECK(tensor.is_contiguous() && tensor.is_leaf(), "parameter {}", name);
      auto parameter = std::make_unique<Parameter>();
      parameter->name = name;
      parameter->tensor = tensor;
      sizes.push_back(tensor.numel());
      parameters_.push_back(std::move(parameter));
    }
  }
  const int64_t elements = std::max<int64_t>(1, bucket_bytes / static_cast<int64_t>(sizeof(float)));
  layout_ = std::make_unique<BucketLayout>(sizes, processes.size(), elements);
  for (const BucketLayout::Bucket& bucket : layout_->buckets()) {
    buckets_.push_back(std::make_unique<Bucket>());
    buckets_.back()->flat = torch::zeros({bucket.elements}, Float32On(parameters_.at(0)->tensor));
  }
  for (size_t p = 0; p < parameters_.size(); ++p) {
    Parameter& parameter = *parameters_[p];
    const int64_t offset = layout_->offset_of(p);
    parameter.sum = buckets_[layout_->bucket_of(p)]
                        ->flat.slice(0, offset, offset + sizes[p])
                        .view(parameter.tensor.sizes());
    parameter.accumulator = torch::autograd::impl::grad_accumulator(parameter.tensor);
    if (parameter.accumulator) parameter.accumulator->add_pre_hook(std::make_unique<Hook>(self_, p));
  }
  if (sharded_) {
    int64_t largest = 0;
    for (const BucketLayout::Bucket& bucket : layout_->buckets())
      largest = std::max(largest, bucket.elements);
    for (size_t i = 0; i < std::min(kUnderWay, buckets_.size()); ++i)
      buffers_.push_back(torch::empty({largest}, Float32On(parameters_.at(0)->tensor)));
  }
  MakeOwnGroups(groups);
}

GradientBuckets::~GradientBuckets() = default;

torch::TensorOptions GradientBuckets::Float32On(const torch::Tensor& parameter) {
  return torch::TensorOptions(torch::kFloat32).device(parameter.device());
}

void GradientBuckets::MakeOwnGroups(const std::vector<ParameterGroup>& groups) {
  own_groups_ = groups;
  if (!sharded_) return;
  pieces_ = layout_->PiecesOf(processes_.rank());
  size_t p = 0, next = 0;
  for (ParameterGroup& group : own_groups_) {
    const size_t end = p + group.parameters.size();
    group.parameters.clear();
    for (; next < pieces_.size() && pieces_[next].parameter < end; ++next) {
      const BucketLayout::Piece& piece = pieces_[next];
      const Parameter& parameter = *parameters_[piece.parameter];
      group.parameters.emplace_back(PieceName(piece),
                                    Flat(parameter.tensor).slice(0, piece.begin, piece.end));
    }
    p = end;
  }
}

std::string GradientBuckets::PieceName(const BucketLayout::Piece& piece) const {
  return fmt::format("{}[{}:{}]", parameters_[piece.parameter]->name, piece.begin, piece.end);
}

GradientBuckets::ParameterEntry GradientBuckets::Entry(size_t parameter) const {
  return {parameters_[parameter]->name, parameters_[parameter]->tensor};
}

void GradientBuckets::BroadcastParameters() {
  std::vector<ProcessGroup::Pending> pending;
  for (const auto& parameter : parameters_) {
    // As bytes: Gloo knows no bfloat16.
    pending.push_back(processes_.Broadcast(Flat(parameter->tensor).view(torch::kByte), 0));
  }
  for (ProcessGroup::Pending& one : pending) one.Wait();
}

void GradientBuckets::Begin(size_t micro_batches) {
  micro_batches_ = micro_batches;
  weights_.assign(micro_batches, 0.0);
  next_bucket_ = 0;
  for (size_t b = 0; b < buckets_.size(); ++b) {
    buckets_[b]->missing = layout_->buckets()[b].parameters.size();
  }
  for (const auto& parameter : parameters_) {
    parameter->next = 0;
    parameter->early.assign(micro_batches, torch::Tensor());
    parameter->came.assign(micro_batches, 0);
    parameter->touched = false;
  }
  if (micro_batches > 0) return;
  for (size_t p = 0; p < parameters_.size(); ++p) Complete(p);
}

void GradientBuckets::Backward(size_t micro_batch, const torch::Tensor& loss, double weight) {
  weights_[micro_batch] = weight;
  {
    const RunningGuard guard({this, micro_batch});
    torch::autograd::variable_list inputs;
    for (const auto& parameter : parameters_) inputs.push_back(parameter->tensor);
    torch::autograd::backward({loss}, {}, /*retain_graph=*/false, /*create_graph=*/false, inputs);
  }
  Skip(micro_batch);  // the parameters that it did not use
}

void GradientBuckets::Skip(size_t micro_batch) {
  for (size_t p = 0; p < parameters_.size(); ++p) Deliver(p, micro_batch, torch::Tensor());
}

// An undefined gradient only says that nothing comes any more.
void GradientBuckets::Deliver(size_t p, size_t micro_batch, const torch::Tensor& gradient) {
  Parameter& parameter = *parameters_[p];
  const torch::NoGradGuard no_gradients;
  {
    std::lock_guard lock(parameter.mutex);
    if (parameter.came[micro_batch] != 0) return;
    parameter.came[micro_batch] = 1;
    parameter.early[micro_batch] = gradient;
    while (parameter.next < micro_batches_ && parameter.came[parameter.next] != 0) {
      const torch::Tensor next = std::move(parameter.early[parameter.next]);
      const double weight = weights_[parameter.next++];
      if (!next.defined()) continue;
      if (parameter.touched) {
        parameter.sum.add_(next, weight);
      } else {
        at::mul_out(parameter.sum, next, torch::scalar_tensor(weight));
      }
      parameter.touched = true;
    }
    if (parameter.next < micro_batches_) return;
  }
  Complete(p);
}

void GradientBuckets::Complete(size_t p) {
  Parameter& parameter = *parameters_[p];
  if (!parameter.touched) parameter.sum.zero_();
  Bucket& bucket = *buckets_[layout_->bucket_of(p)];
  if (--bucket.missing == 0 && !processes_.alone()) LaunchReady();
}

// Buckets go off in their order, because the processes must agree on the order of collectives.
void GradientBuckets::LaunchReady() {
  std::lock_guard lock(launching_);
  for (; next_bucket_ < buckets_.size() && buckets_[next_bucket_]->missing == 0; ++next_bucket_) {
    Bucket& bucket = *buckets_[next_bucket_];
    if (sharded_) {
      if (next_bucket_ >= kUnderWay) {
        const Clock::time_point start = Clock::now();
        Reap(*buckets_[next_bucket_ - kUnderWay]);
        waited_ += Elapsed(start);
      }
      bucket.received = BufferOf(next_bucket_);
      bucket.pending = processes_.AllToAll(bucket.flat, bucket.received);
      for (size_t b = 0; b < next_bucket_; ++b) {
        if (buckets_[b]->received.defined() && buckets_[b]->pending.Done()) Reap(*buckets_[b]);
      }
    } else {
      bucket.pending = processes_.AllReduceSum(bucket.flat);
    }
  }
}

// Free once bucket - kUnderWay has arrived.
torch::Tensor GradientBuckets::BufferOf(size_t bucket) const {
  return buffers_[bucket % kUnderWay].slice(0, 0, buckets_[bucket]->flat.size(0));
}

// Sums what came from all processes into the own share of the bucket; in the order of the ranks.
void GradientBuckets::Reap(Bucket& bucket) {
  bucket.pending.Wait();
  if (!bucket.received.defined()) return;
  const int64_t share = bucket.flat.size(0) / processes_.size();
  torch::Tensor own = bucket.flat.slice(0, share * processes_.rank(), share * (processes_.rank() + 1));
  at::sum_out(own, bucket.received.view({processes_.size(), share}), {0});
  bucket.received.reset();
}

void GradientBuckets::Finish(double scale) {
  const torch::NoGradGuard no_gradients;
  MVLM_CHECK(processes_.alone() || next_bucket_ == buckets_.size(), "a micro-batch without a backward pass");
  const Clock::time_point start = Clock::now();
  for (const auto& bucket : buckets_) Reap(*bucket);
  waited_ += Elapsed(start);
  if (!sharded_) {
    for (const auto& bucket : buckets_) bucket->flat.mul_(scale);
    for (const auto& parameter : parameters_) {
      parameter->tensor.mutable_grad() = parameter->sum;
    }
    return;
  }
  size_t next = 0;
  for (ParameterGroup& group : own_groups_) {
    for (auto& [name, tensor] : group.parameters) {
      const BucketLayout::Piece& piece = pieces_[next++];
      const torch::Tensor sum =
          buckets_[piece.bucket]->flat.slice(0, piece.offset, piece.offset + piece.end - piece.begin);
      tensor.mutable_grad() = sum.mul_(scale);
    }
  }
}

double GradientBuckets::Clip(double limit) {
  const torch::NoGradGuard no_gradients;
  std::vector<double> square{0.0};
  for (const ParameterGroup& group : own_groups_) {
    for (const auto& [name, tensor] : group.parameters) {
      const double norm = tensor.grad().norm().item<double>();
      square[0] += norm * norm;
    }
  }
  if (sharded_) processes_.Sum(square);
  const double norm = std::sqrt(square[0]);
  constexpr double kEpsilon = 1e-6;  // torch.nn.utils.clip_grad_norm_
  const double factor = limit / (norm + kEpsilon);
  if (limit <= 0 || !(factor < 1.0)) return norm;
  for (const ParameterGroup& group : own_groups_) {
    for (const auto& [name, tensor] : group.parameters) tensor.grad().mul_(factor);
  }
  return norm;
}

void GradientBuckets::ShareUpdates() {
  if (!sharded_) return;
  const torch::NoGradGuard no_gradients;
  const Clock::time_point start = Clock::now();
  // Every process sends its share to all: an all-gather out of our own buffer, where Gloo's makes two of its
  // own.
  const auto send = [&](size_t b) {
    const int64_t share = layout_->share(b);
    const torch::Tensor copies = BufferOf(b).view({processes_.size(), share}), own = copies[0].zero_();
    for (const BucketLayout::Piece& piece : pieces_) {
      if (piece.bucket != b) continue;
      const int64_t at = piece.offset - share * processes_.rank();
      own.slice(0, at, at + piece.end - piece.begin)
          .copy_(Flat(parameters_[piece.parameter]->tensor).slice(0, piece.begin, piece.end));
    }
    for (int64_t i = 1; i < processes_.size(); ++i) copies[i].copy_(own);
    buckets_[b]->pending = processes_.AllToAll(copies.view({-1}), buckets_[b]->flat);
  };
  const auto receive = [&](size_t b) {
    buckets_[b]->pending.Wait();
    for (const size_t p : layout_->buckets()[b].parameters)
      parameters_[p]->tensor.detach().copy_(parameters_[p]->sum);
  };
  for (size_t b = 0; b < buckets_.size() + kUnderWay; ++b) {
    if (b >= kUnderWay) receive(b - kUnderWay);
    if (b < buckets_.size()) send(b);
  }
  waited_ += Elapsed(start);
}

int64_t GradientBuckets::own_elements() const {
  int64_t elements = 0;
  for (const ParameterGroup& group : own_groups_) {
    for (const auto& [name, tensor] : group.parameters) elements += tensor.numel();
  }
  return elements;
}

double GradientBuckets::TakeWaitedSeconds() { return std::exchange(waited_, 0.0); }

}  // namespace mobilevlm::train
