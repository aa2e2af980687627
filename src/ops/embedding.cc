#include "ops/embedding.h"

#include "ops/parallel.h"
#include "tensor/dequantize.h"

namespace mobilevlm {

void GatherRows(const OpsContext& ctx, const LinearWeights& table, std::span<const int32_t> ids,
                Mat<float> out) {
  MVLM_CHECK(out.rows() == ids.size() && out.cols() == table.in, "{} ids of {} columns into [{}, {}]",
             ids.size(), table.in, out.rows(), out.cols());
  ParallelRows(ctx, ids.size(), table.in, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      MVLM_CHECK(ids[i] >= 0 && static_cast<size_t>(ids[i]) < table.out, "id {} of {}", ids[i], table.out);
      Dequantize(table.type, table.data + static_cast<size_t>(ids[i]) * table.row_bytes, table.in,
                 out.row(i));
    }
  });
}

}  // namespace mobilevlm
