#include "ops/rope.h"

#include <cmath>

namespace mobilevlm {

RopeTable::RopeTable(size_t positions, size_t head_dim, float base)
    : positions_(positions), head_dim_(head_dim) {
  MVLM_CHECK(head_dim % 2 == 0, "head_dim {} is odd", head_dim);
  const size_t pairs = head_dim / 2;
  cos_.Reserve(positions * pairs);
  sin_.Reserve(positions * pairs);
  for (size_t i = 0; i < pairs; ++i) {
    // torch's LlamaRotaryEmbedding rounds the frequency to float before it multiplies; so do we.
    const float frequency =
        static_cast<float>(1.0 / std::pow(static_cast<double>(base),
                                          2.0 * static_cast<double>(i) / static_cast<double>(head_dim)));
    for (size_t position = 0; position < positions; ++position) {
      const double angle = static_cast<float>(position) * frequency;
      cos_.data()[position * pairs + i] = static_cast<float>(std::cos(angle));
      sin_.data()[position * pairs + i] = static_cast<float>(std::sin(angle));
    }
  }
}

void ApplyRope(const KernelTable& kernels, const RopeTable& table, size_t start_position, Mat<float> x) {
  if (x.rows() == 0 || x.cols() == 0) return;
  MVLM_CHECK(table.head_dim() > 0 && x.cols() % table.head_dim() == 0, "{} columns, head_dim {}", x.cols(),
             table.head_dim());
  MVLM_CHECK(start_position <= table.positions() && x.rows() <= table.positions() - start_position,
             "positions [{}, +{}) of {}", start_position, x.rows(), table.positions());
  for (size_t t = 0; t < x.rows(); ++t) {
    const float* cos = table.cos(start_position + t);
    const float* sin = table.sin(start_position + t);
    for (size_t c = 0; c < x.cols(); c += table.head_dim())
      kernels.rope(x.row(t) + c, cos, sin, table.head_dim() / 2);
  }
}

}  // namespace mobilevlm
