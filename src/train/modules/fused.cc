#include "train/modules/fused.h"

#include <cmath>
#include <vector>

#include "base/check.h"

// The widest vectors of the CPU that runs, chosen when the program is loaded. Sanitizers do not know such
// functions.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define MVLM_WIDE __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#else
#define MVLM_WIDE
#endif

namespace mobilevlm::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// y = scale * (x cos + rotate_half(x) sin) for one row; direction -1: its transpose.
MVLM_WIDE void TurnRow(const float* x, const float* cos, const float* sin, float scale, float direction,
                       int64_t half, float* y) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[half + i], c = cos[i], s = direction * sin[i];
    y[i] = scale * (a * c - b * s);
    y[half + i] = scale * (b * c + a * s);
  }
}

MVLM_WIDE void ScaleRow(const float* x, float scale, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = scale * x[i];
}

// Sums of x^2, and of x w g: eight running sums, so that vectors can hold them without reordering.
MVLM_WIDE float SumOfSquares(const float* x, int64_t n) {
  constexpr int64_t kSums = 32;
  float sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (int64_t k = 0; k < kSums; ++k) sums[k] += x[i + k] * x[i + k];
  }
  float total = 0;
  for (; i < n; ++i) total += x[i] * x[i];
  for (const float sum : sums) total += sum;
  return total;
}
MVLM_WIDE float SumOfProducts(const float* x, const float* w, const float* g, int64_t n) {
  constexpr int64_t kSums = 32;
  float sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (int64_t k = 0; k < kSums; ++k) sums[k] += x[i + k] * w[i + k] * g[i + k];
  }
  float total = 0;
  for (; i < n; ++i) total += x[i] * w[i] * g[i];
  for (const float sum : sums) total += sum;
  return total;
}

MVLM_WIDE void NormRow(const float* x, const float* w, float inverse, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * inverse * w[i];
}
// dx = inverse (w g - x shared), dw += x inverse g
MVLM_WIDE void NormRowBackward(const float* x, const float* w, const float* g, float inverse, float shared,
                               int64_t n, float* dx, float* dw) {
  for (int64_t i = 0; i < n; ++i) {
    dx[i] = inverse * (w[i] * g[i] - x[i] * shared);
    dw[i] += x[i] * inverse * g[i];
  }
}

struct HeadShape {
  int64_t batch, tokens, heads, head_dim;
  const float* cos;  // null: nothing turns
  const float* sin;
  int64_t table_stride;  // elements between the tables of two sequences: 0 if they share one
  float scale;
};

// Between rows [batch * tokens, 3 * heads * head_dim] and parts [batch * heads, tokens, head_dim].
void MoveHeads(const HeadShape& shape, float* rows, float* const parts[3], bool forward) {
  const int64_t width = shape.heads * shape.head_dim;
  for (int64_t b = 0; b < shape.batch; ++b) {
    for (int64_t t = 0; t < shape.tokens; ++t) {
      const int64_t table = b * shape.table_stride + t * shape.head_dim;
      for (int64_t part = 0; part < 3; ++part) {
        if (parts[part] == nullptr) continue;
        const float scale = part == 0 ? shape.scale : 1.0f;
        for (int64_t h = 0; h < shape.heads; ++h) {
          float* row = rows + (b * shape.tokens + t) * 3 * width + part * width + h * shape.head_dim;
          float* head = parts[part] + ((b * shape.heads + h) * shape.tokens + t) * shape.head_dim;
          const float* from = forward ? row : head;
          float* to = forward ? head : row;
          if (part < 2 && shape.cos != nullptr) {
            TurnRow(from, shape.cos + table, shape.sin + table, scale, forward ? 1.0f : -1.0f,
                    shape.head_dim / 2, to);
          } else {
            ScaleRow(from, scale, shape.head_dim, to);
          }
        }
      }
    }
  }
}

// autograd refuses an undefined tensor as an input, but not a missing one.
c10::optional<torch::Tensor> Table(const torch::Tensor& tensor) {
  return tensor.defined() ? c10::optional<torch::Tensor>(tensor) : c10::nullopt;
}

class SplitHeadsFunction : public torch::autograd::Function<SplitHeadsFunction> {
 public:
  static variable_list forward(AutogradContext* context, const torch::Tensor& qkv, int64_t batch,
                               int64_t heads, double scale, const c10::optional<torch::Tensor>& cos_table,
                               const c10::optional<torch::Tensor>& sin_table) {
    const torch::Tensor cos = cos_table.value_or(torch::Tensor()), sin = sin_table.value_or(torch::Tensor());
    context->saved_data["batch"] = batch;
    context->saved_data["heads"] = heads;
    context->saved_data["scale"] = scale;
    context->saved_data["rows"] = qkv.size(0);
    context->saved_data["columns"] = qkv.size(1);
    context->save_for_backward({cos, sin});
    const torch::Tensor rows = qkv.contiguous();
    const HeadShape shape = Shape(rows.size(0), rows.size(1), batch, heads, scale, cos, sin);
    variable_list parts;
    float* pointers[3];
    for (float*& pointer : pointers) {
      parts.push_back(torch::empty({batch * heads, shape.tokens, shape.head_dim}, rows.options()));
      pointer = parts.back().data_ptr<float>();
    }
    MoveHeads(shape, rows.data_ptr<float>(), pointers, /*forward=*/true);
    return parts;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const int64_t rows = context->saved_data["rows"].toInt(),
                  columns = context->saved_data["columns"].toInt();
    const HeadShape shape =
        Shape(rows, columns, context->saved_data["batch"].toInt(), context->saved_data["heads"].toInt(),
              context->saved_data["scale"].toDouble(), saved[0], saved[1]);
    bool all = true;
    float* pointers[3] = {};
    for (size_t part = 0; part < 3; ++part) {
      all = all && gradients[part].defined();
      if (!gradients[part].defined()) continue;
      gradients[part] = gradients[part].contiguous();
      pointers[part] = gradients[part].data_ptr<float>();
    }
    const torch::Tensor to_rows = all ? torch::empty({rows, columns}) : torch::zeros({rows, columns});
    MoveHeads(shape, to_rows.data_ptr<float>(), pointers, /*forward=*/false);
    return {to_rows, torch::Tensor(), torch::Tensor(), torch::Tensor(), torch::Tensor(), torch::Tensor()};
  }

 private:
  static HeadShape Shape(int64_t rows, int64_t columns, int64_t batch, int64_t heads, double scale,
                         const torch::Tensor& cos, const torch::Tensor& sin) {
    HeadShape shape{batch,   rows / batch, heads, columns / 3 / heads,
                    nullptr, nullptr,      0,     static_cast<float>(scale)};
    if (!cos.defined()) return shape;
    MVLM_CHECK(cos.is_contiguous() && sin.is_contiguous(), "rotary tables in one piece");
    const int64_t one = shape.tokens * shape.head_dim;
    MVLM_CHECK(cos.numel() == one || cos.numel() == batch * one, "rotary tables of {} elements", cos.numel());
    shape.cos = cos.data_ptr<float>();
    shape.sin = sin.data_ptr<float>();
    shape.table_stride = cos.numel() == one ? 0 : one;
    return shape;
  }
};

class RmsNormFunction : public torch::autograd::Function<RmsNormFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x, const torch::Tensor& weight,
                               double eps) {
    const torch::Tensor rows = x.contiguous(), y = torch::empty_like(rows);
    const int64_t n = rows.size(1);
    const torch::Tensor inverses = torch::empty({rows.size(0)});
    const float* w = weight.data_ptr<float>();
    for (int64_t r = 0; r < rows.size(0); ++r) {
      const float* from = rows.data_ptr<float>() + r * n;
      const float mean = SumOfSquares(from, n) / static_cast<float>(n);
      const float inverse = 1.0f / std::sqrt(mean + static_cast<float>(eps));
      inverses.data_ptr<float>()[r] = inverse;
      NormRow(from, w, inverse, n, y.data_ptr<float>() + r * n);
    }
    context->save_for_backward({rows, weight, inverses});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const torch::Tensor &x = saved[0], &weight = saved[1], &inverses = saved[2];
    const torch::Tensor g = gradients[0].contiguous(), dx = torch::empty_like(x),
                        dw = torch::zeros_like(weight);
    const int64_t n = x.size(1);
    const float* w = weight.data_ptr<float>();
    for (int64_t r = 0; r < x.size(0); ++r) {
      const float *from = x.data_ptr<float>() + r * n, *up = g.data_ptr<float>() + r * n;
      const float inverse = inverses.data_ptr<float>()[r];
      const float shared = SumOfProducts(from, w, up, n) * inverse * inverse / static_cast<float>(n);
      NormRowBackward(from, w, up, inverse, shared, n, dx.data_ptr<float>() + r * n, dw.data_ptr<float>());
    }
    return {dx, dw, torch::Tensor()};
  }
};

}  // namespace

std::array<torch::Tensor, 3> SplitHeads(const torch::Tensor& qkv, int64_t batch, int64_t heads, double scale,
                                        const torch::Tensor& cos, const torch::Tensor& sin) {
  const variable_list parts =
      SplitHeadsFunction::apply(qkv.to(torch::kFloat32), batch, heads, scale, Table(cos), Table(sin));
  return {parts[0], parts[1], parts[2]};
}

torch::Tensor MergeHeads(const torch::Tensor& mixed, int64_t batch, int64_t heads) {
  const int64_t tokens = mixed.size(1), head_dim = mixed.size(2);
  return mixed.view({batch, heads, tokens, head_dim})
      .transpose(1, 2)
      .reshape({batch * tokens, heads * head_dim});
}

torch::Tensor RmsNormRows(const torch::Tensor& x, const torch::Tensor& weight, double eps) {
  return RmsNormFunction::apply(x.to(torch::kFloat32), weight.to(torch::kFloat32), eps);
}

}  // namespace mobilevlm::train
