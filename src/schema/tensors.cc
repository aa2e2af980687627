#include "schema/tensors.h"

#include <algorithm>

#include "base/check.h"
#include "schema/read_config.h"

namespace mobilevlm {
namespace {

uint64_t U(int extent) { return static_cast<uint64_t>(extent); }

// Builds one list of specs; the calls below read as the table.
class Table {
 public:
  Table(std::string_view gguf_prefix, std::string_view hf_prefix)
      : gguf_prefix_(gguf_prefix), hf_prefix_(hf_prefix) {}

  void Enter(std::string gguf_prefix, std::string hf_prefix) {
    gguf_prefix_ = std::move(gguf_prefix);
    hf_prefix_ = std::move(hf_prefix);
  }
  void Add(std::string_view gguf, std::string_view hf, std::vector<uint64_t> shape, TensorStorage storage) {
    TensorSpec spec;
    spec.gguf_name = fmt::format("{}{}", gguf_prefix_, gguf);
    spec.hf_name = fmt::format("{}{}", hf_prefix_, hf);
    spec.shape = std::move(shape);
    spec.storage = storage;
    specs_.push_back(std::move(spec));
  }
  void Matrix(std::string_view gguf, std::string_view hf, int rows, int cols) {
    Add(gguf, hf, {U(rows), U(cols)}, TensorStorage::kMatrix);
  }
  void RopeMatrix(std::string_view gguf, std::string_view hf, int rows, int cols, int heads) {
    Matrix(gguf, hf, rows, cols);
    specs_.back().transform = TensorTransform::kRopeRows;
    specs_.back().heads = heads;
  }
  void Vector(std::string_view gguf, std::string_view hf, int size) {
    Add(gguf, hf, {U(size)}, TensorStorage::kFloat);
  }
  // "<name>.weight" [rows, cols] and "<name>.bias" [rows].
  void Linear(const std::string& gguf, const std::string& hf, int rows, int cols) {
    Matrix(gguf + ".weight", hf + ".weight", rows, cols);
    Vector(gguf + ".bias", hf + ".bias", rows);
  }
  void Pointwise(const std::string& name, int rows, int cols) {
    Matrix(name, name, rows, cols);
    specs_.back().pointwise = true;
  }
  // "<name>.weight" and "<name>.bias", both [size].
  void Norm(const std::string& gguf, const std::string& hf, int size) {
    Vector(gguf + ".weight", hf + ".weight", size);
    Vector(gguf + ".bias", hf + ".bias", size);
  }
  void Linear(const std::string& same, int rows, int cols) { Linear(same, same, rows, cols); }
  void Norm(const std::string& same, int size) { Norm(same, same, size); }

  std::vector<TensorSpec> Take() { return std::move(specs_); }

 private:
  std::string gguf_prefix_;
  std::string hf_prefix_;
  std::vector<TensorSpec> specs_;
};

void AddVisionBlock(Table& table, const VisionConfig& c, FfnNaming naming) {
  table.Linear("attn_q", "self_attn.q_proj", c.hidden, c.hidden);
  table.Linear("attn_k", "self_attn.k_proj", c.hidden, c.hidden);
  table.Linear("attn_v", "self_attn.v_proj", c.hidden, c.hidden);
  table.Linear("attn_out", "self_attn.out_proj", c.hidden, c.hidden);
  table.Norm("ln1", "layer_norm1", c.hidden);
  table.Norm("ln2", "layer_norm2", c.hidden);
  const bool swapped = naming == FfnNaming::kLegacySwapped;
  table.Linear(swapped ? "ffn_down" : "ffn_up", "mlp.fc1", c.intermediate, c.hidden);
  table.Linear(swapped ? "ffn_up" : "ffn_down", "mlp.fc2", c.hidden, c.intermediate);
}

}  // namespace

std::vector<uint64_t> TensorSpec::hf_shape() const {
  std::vector<uint64_t> extents = shape;
  if (pointwise) extents.insert(extents.end(), {1, 1});
  return extents;
}

std::vector<TensorSpec> LlmTensors(const LlmConfig& c) {
  const int q_rows = c.heads * c.head_dim;
  const int kv_rows = c.kv_heads * c.head_dim;
  Table table("", "");
  table.Matrix("token_embd.weight", "model.embed_tokens.weight", c.vocab, c.hidden);
  for (int i = 0; i < c.layers; ++i) {
    table.Enter(fmt::format("blk.{}.", i), fmt::format("model.layers.{}.", i));
    table.Vector("attn_norm.weight", "input_layernorm.weight", c.hidden);
    table.Vector("ffn_norm.weight", "post_attention_layernorm.weight", c.hidden);
    table.RopeMatrix("attn_q.weight", "self_attn.q_proj.weight", q_rows, c.hidden, c.heads);
    table.RopeMatrix("attn_k.weight", "self_attn.k_proj.weight", kv_rows, c.hidden, c.kv_heads);
    table.Matrix("attn_v.weight", "self_attn.v_proj.weight", kv_rows, c.hidden);
    table.Matrix("attn_output.weight", "self_attn.o_proj.weight", c.hidden, q_rows);
    table.Matrix("ffn_gate.weight", "mlp.gate_proj.weight", c.intermediate, c.hidden);
    table.Matrix("ffn_up.weight", "mlp.up_proj.weight", c.intermediate, c.hidden);
    table.Matrix("ffn_down.weight", "mlp.down_proj.weight", c.hidden, c.intermediate);
  }
  table.Enter("", "");
  table.Vector("output_norm.weight", "model.norm.weight", c.hidden);
  table.Matrix("output.weight", "lm_head.weight", c.vocab, c.hidden);
  return table.Take();
}

std::vector<TensorSpec> VisionTensors(const VisionConfig& c, FfnNaming naming) {
  Table table("v.", kHfVisionPrefix);
  table.Vector("class_embd", "embeddings.class_embedding", c.hidden);
  table.Add("patch_embd.weight", "embeddings.patch_embedding.weight",
            {U(c.hidden), 3, U(c.patch_size), U(c.patch_size)}, TensorStorage::kHalf);
  table.Add("position_embd.weight", "embeddings.position_embedding.weight", {U(c.patches() + 1), U(c.hidden)},
            TensorStorage::kHalf);
  table.Norm("pre_ln", "pre_layrnorm", c.hidden);
  for (int i = 0; i < c.used_layers; ++i) {
    table.Enter(fmt::format("v.blk.{}.", i), fmt::format("{}encoder.layers.{}.", kHfVisionPrefix, i));
    AddVisionBlock(table, c, naming);
  }
  return table.Take();
}

std::vector<TensorSpec> ProjectorTensors(const ProjectorConfig& c) {
  if (c.type == ProjectorType::kLdpV2) {
    Table table("mm.model.", kHfProjectorPrefix);
    table.Linear("mlp.0", "mlp.mlp.0", c.hidden, c.vision_hidden);
    table.Linear("mlp.2", "mlp.mlp.2", c.hidden, c.hidden);
    table.Add("peg.0.weight", "peg.peg.0.weight", {U(c.hidden), 1, 3, 3}, TensorStorage::kHalf);
    table.Vector("peg.0.bias", "peg.peg.0.bias", c.hidden);
    return table.Take();
  }
  if (c.type == ProjectorType::kMlp) {
    Table table("mm.", kHfProjectorPrefix);
    table.Linear("0", c.hidden, c.vision_hidden);
    table.Linear("2", c.hidden, c.hidden);
    return table.Take();
  }
  Table table("mm.model.", fmt::format("{}model.", kHfProjectorPrefix));
  table.Linear("mlp.1", c.hidden, c.vision_hidden);
  table.Linear("mlp.3", c.hidden, c.hidden);
  for (const int b : {1, 2}) {
    const std::string block = fmt::format("mb_block.{}.block.", b);
    table.Add(block + "0.0.weight", block + "0.0.weight", {U(c.hidden), 1, 3, 3}, TensorStorage::kHalf);
    table.Norm(block + "0.1", c.hidden);
    table.Pointwise(block + "1.fc1.weight", c.squeeze(), c.hidden);
    table.Vector(block + "1.fc1.bias", block + "1.fc1.bias", c.squeeze());
    table.Pointwise(block + "1.fc2.weight", c.hidden, c.squeeze());
    table.Vector(block + "1.fc2.bias", block + "1.fc2.bias", c.hidden);
    table.Pointwise(block + "2.0.weight", c.hidden, c.hidden);
    table.Norm(block + "2.1", c.hidden);
  }
  return table.Take();
}

Result<FfnNaming> DetectFfnNaming(const GgufFile& mmproj, const VisionConfig& config) {
  constexpr std::string_view kName = "v.blk.0.ffn_down.weight";
  const GgufTensor* down = mmproj.FindTensor(kName);
  if (down == nullptr) return Fail("{}: tensor {} is missing", mmproj.path(), kName);
  const uint64_t hidden = U(config.hidden);
  const uint64_t intermediate = U(config.intermediate);
  if (SameShape(down->shape, std::vector<uint64_t>{intermediate, hidden})) return FfnNaming::kLegacySwapped;
  if (SameShape(down->shape, std::vector<uint64_t>{hidden, intermediate})) return FfnNaming::kPlain;
  return Fail("{}: tensor {}: wanted shape [{}, {}] or its transpose, found {}", mmproj.path(), kName,
              intermediate, hidden, ShapeText(down->shape));
}

Result<std::vector<TensorSpec>> MmprojTensors(const GgufFile& mmproj) {
  MVLM_ASSIGN(const VisionConfig vision, ReadVisionConfig(mmproj));
  MVLM_ASSIGN(const ProjectorConfig projector, ReadProjectorConfig(mmproj));
  MVLM_ASSIGN(const FfnNaming naming, DetectFfnNaming(mmproj, vision));
  std::vector<TensorSpec> specs = VisionTensors(vision, naming);
  for (TensorSpec& spec : ProjectorTensors(projector)) specs.push_back(std::move(spec));
  return specs;
}

bool SameShape(std::span<const uint64_t> a, std::span<const uint64_t> b) {
  const auto skip_ones = [](std::span<const uint64_t> shape, size_t at) {
    while (at < shape.size() && shape[at] == 1) ++at;
    return at;
  };
  size_t i = skip_ones(a, 0);
  size_t j = skip_ones(b, 0);
  while (i < a.size() && j < b.size() && a[i] == b[j]) {
    i = skip_ones(a, i + 1);
    j = skip_ones(b, j + 1);
  }
  return i == a.size() && j == b.size();
}

bool StorageAllows(TensorStorage storage, DType type) {
  if (storage == TensorStorage::kMatrix || type == DType::kF32) return true;
  return storage == TensorStorage::kHalf && (type == DType::kF16 || type == DType::kBF16);
}

Result<const GgufTensor*> FindTensor(const GgufFile& file, const TensorSpec& spec) {
  const GgufTensor* tensor = file.FindTensor(spec.gguf_name);
  if (tensor == nullptr) return Fail("{}: tensor {} is missing", file.path(), spec.gguf_name);
  if (!SameShape(tensor->shape, spec.shape)) {
    return Fail("{}: tensor {}: wanted shape {}, found {}", file.path(), spec.gguf_name,
                ShapeText(spec.shape), ShapeText(tensor->shape));
  }
  if (!StorageAllows(spec.storage, tensor->type)) {
    return Fail("{}: tensor {}: wanted type {}, found {}", file.path(), spec.gguf_name,
                spec.storage == TensorStorage::kHalf ? "F16, BF16 or F32" : "F32", DTypeName(tensor->type));
  }
  return tensor;
}

Result<TensorMap> TensorMap::Bind(const GgufFile& file, std::span<const TensorSpec> specs) {
  TensorMap map;
  for (const TensorSpec& spec : specs) {
    MVLM_ASSIGN(const GgufTensor* tensor, FindTensor(file, spec));
    map.tensors_.emplace(spec.hf_name, Bound{tensor, spec.shape.at(0)});
  }
  return map;
}

const TensorMap::Bound& TensorMap::Find(std::string_view hf_name) const {
  const auto found = tensors_.find(std::string(hf_name));
  MVLM_CHECK(found != tensors_.end(), "no tensor {} in the table", hf_name);
  return found->second;
}

const GgufTensor& TensorMap::Get(std::string_view hf_name) const { return *Find(hf_name).tensor; }

uint64_t TensorMap::Outputs(std::string_view hf_name) const { return Find(hf_name).outputs; }

const GgufTensor& TensorMap::Get(std::string_view prefix, std::string_view name) const {
  return Get(fmt::format("{}{}", prefix, name));
}

}  // namespace mobilevlm
