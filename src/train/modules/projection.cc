#include "train/modules/projection.h"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/random.h"
#include "train/modules/functional.h"

namespace mobilevlm::train {
namespace {

constexpr int64_t kQ8Block = 32;

thread_local std::optional<uint64_t> dropout_seed;

torch::Dtype KeptType(WeightType type) {
  return type == WeightType::kBFloat16 ? torch::kBFloat16 : torch::kFloat32;
}

// nn::Linear's own initialisation.
void KaimingUniform(const torch::Tensor& weight) {
  torch::nn::init::kaiming_uniform_(weight, std::sqrt(5.0));
}

}  // namespace

WeightType ParseWeightType(const std::string& name) {
  if (name == "float32") return WeightType::kFloat32;
  if (name == "bfloat16") return WeightType::kBFloat16;
  MVLM_CHECK(name == "q8_0", "no weight type {}", name);
  return WeightType::kQ8_0;
}

torch::Tensor AddParameter(torch::nn::Module& root, const std::string& path, torch::Tensor value,
                           bool trained) {
  torch::nn::Module* module = &root;
  size_t begin = 0;
  for (size_t dot; (dot = path.find('.', begin)) != std::string::npos; begin = dot + 1) {
    const std::string name = path.substr(begin, dot - begin);
    const auto children = module->named_children();
    const std::shared_ptr<torch::nn::Module>* child = children.find(name);
    module = child != nullptr
                 ? child->get()
                 : module->register_module(name, std::make_shared<torch::nn::Module>(name)).get();
  }
  return module->register_parameter(path.substr(begin), std::move(value), trained);
}

ProjectionImpl::ProjectionImpl(int64_t in, int64_t out, const MatrixOptions& options)
    : in_(in), out_(out), lora_(options.lora) {
  const torch::NoGradGuard no_gradients;
  MVLM_CHECK(options.still || (lora_.rank == 0 && options.type != WeightType::kQ8_0),
             "a matrix that is trained has no factors and is not Q8_0");
  if (options.type == WeightType::kQ8_0) {
    MVLM_CHECK(in % kQ8Block == 0, "rows of {} are no multiple of {}", in, kQ8Block);
  } else {
    weight_ = register_parameter("weight", torch::empty({out, in}, KeptType(options.type)), !options.still);
    if (options.initialise) {
      KaimingUniform(weight_);
      weight_.normal_(0.0, kInitStd);
    }
  }
  if (lora_.rank == 0) return;
  a_ = AddParameter(*this, "lora_A.weight", torch::empty({lora_.rank, in}));
  b_ = AddParameter(*this, "lora_B.weight", torch::zeros({out, lora_.rank}));
  KaimingUniform(a_);
}

void ProjectionImpl::Fill(const torch::Tensor& values) {
  const torch::NoGradGuard no_gradients;
  if (weight_.defined()) {
    weight_.copy_(values);
    return;
  }
  // As ggml's quantize_row_q8_0: per 32 values a half-precision scale, the largest becomes 127.
  const torch::Tensor blocks = values.to(torch::kFloat32).view({out_, in_ / kQ8Block, kQ8Block});
  const torch::Tensor scale = blocks.abs().amax(2, /*keepdim=*/true) / 127.0;
  quants_ = torch::where(scale > 0, blocks / scale, torch::zeros({1})).round().to(torch::kInt8);
  scales_ = scale.to(torch::kHalf);
}

torch::Tensor ProjectionImpl::Weight() const {
  if (weight_.defined()) return weight_;
  MVLM_CHECK(quants_.defined(), "a Q8_0 matrix was never filled");
  const torch::NoGradGuard no_gradients;
  return quants_.to(torch::kFloat32).mul_(scales_.to(torch::kFloat32)).view({out_, in_});
}

torch::Tensor ProjectionImpl::LoraDelta(const torch::Tensor& x) const {
  torch::Tensor input = x;
  if (dropout_seed && lora_.dropout > 0) {
    Random mixer = Random::Stream(*dropout_seed, number_);
    at::Generator generator = at::detail::createCPUGenerator(mixer.Next());
    const double keep = 1.0 - lora_.dropout;
    input = x * torch::empty(x.sizes()).bernoulli_(keep, generator).div_(keep);
  }
  return Linear(Linear(input, a_), b_) * (lora_.alpha / static_cast<double>(lora_.rank));
}

torch::Tensor ProjectionImpl::forward(const torch::Tensor& x) {
  torch::Tensor y = Linear(x, Weight());
  return has_lora() ? y + LoraDelta(x) : y;
}

DropoutGuard::DropoutGuard(std::optional<uint64_t> seed) : previous_(std::exchange(dropout_seed, seed)) {}
DropoutGuard::~DropoutGuard() { dropout_seed = previous_; }
std::optional<uint64_t> DropoutGuard::Current() { return dropout_seed; }

}  // namespace mobilevlm::train
