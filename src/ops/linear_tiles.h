// The input of the float products, cut into tiles as gemm_panel reads them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "ops/parallel.h"

namespace mobilevlm {

// The tokens of x in tiles of at most kTileRows, as even as possible. They are copied and not read in place,
// because rows of x are often a multiple of 4 KiB apart: the rows of a tile would then fight for the same few
// sets of the L1 cache.
struct TiledRows {
  static constexpr size_t kTileFloats = kTileRows * kTileStride;

  explicit TiledRows(Mat<const float> rows) : x(rows), tiles((rows.rows() + kTileRows - 1) / kTileRows) {}
  size_t k_blocks() const { return (x.cols() + kPanelK - 1) / kPanelK; }
  size_t floats() const { return tiles * k_blocks() * kTileFloats; }
  size_t Token(size_t tile) const { return tile * x.rows() / tiles; }  // the tile's first
  size_t Rows(size_t tile) const { return Token(tile + 1) - Token(tile); }
  // Where the inputs from k on start, k a multiple of kPanelK.
  float* Tile(size_t tile, size_t k) const { return data + (tile * k_blocks() + k / kPanelK) * kTileFloats; }

  // Fills `data`, which the caller provides: floats() of them.
  void Copy(const OpsContext& ctx) const {
    ParallelRows(ctx, tiles, kTileRows * x.cols(), [&](size_t begin, size_t end) {
      for (size_t tile = begin; tile < end; ++tile) {
        for (size_t t = Token(tile); t < Token(tile + 1); ++t) {
          for (size_t k = 0; k < x.cols(); k += kPanelK) {
            std::memcpy(Tile(tile, k) + (t - Token(tile)) * kTileStride, x.row(t) + k,
                        std::min(kPanelK, x.cols() - k) * sizeof(float));
          }
        }
      }
    });
  }

  Mat<const float> x;
  size_t tiles;
  float* data = nullptr;  // [tiles, k blocks, kTileRows, kTileStride]
};

}  // namespace mobilevlm
