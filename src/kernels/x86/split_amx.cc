// kernels/split_kernels.h on AMX-BF16: TDPBF16PS multiplies 16 rows x 32 inputs by 32 inputs x 16 outputs in
// 16 cycles. Two tiles of rows meet two panels, so that of the twelve products of a step four at a time are
// independent, and eight tiles are loaded for them: they may come from the second-level cache. (Prefetching
// them into the first costs more than it gains.)
#include "kernels/tables.h"
#include "kernels/x86/tiles-inl.h"
#include "kernels/x86/transpose_avx512-inl.h"

namespace mobilevlm {
namespace {

constexpr size_t kRowBytes = 64;  // of a tile

void Begin() {
  TileConfig config;
  for (int t = 0; t < 8; ++t) {
    config.rows[t] = kSplitTileRows;
    config.row_bytes[t] = kRowBytes;
  }
  FinishWrites();
  _tile_loadconfig(&config);
}
void End() { _tile_release(); }

struct Floats32 {
  __m512 first, second;
};
Floats32 Zeros() { return {_mm512_setzero_ps(), _mm512_setzero_ps()}; }
__m512i Rounded(const Floats32& x) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(x.second, x.first));
}
__m512 Widened(__m256i bf16) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16));
}
// x less its high part; 0 where that is no finite number.
__m512 Rest(__m512 x, __m256i high) {
  const __m512 rest = x - Widened(high);
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(rest, rest, _CMP_ORD_Q), rest);
}

// 32 numbers into a row of the high tile and one of the low tile.
void StoreSplit(const Floats32& x, uint16_t* out) {
  const __m512i high = Rounded(x);
  const Floats32 rest = {Rest(x.first, _mm512_castsi512_si256(high)),
                         Rest(x.second, _mm512_extracti64x4_epi64(high, 1))};
  _mm512_store_si512(out, high);
  _mm512_store_si512(out + kSplitTile, Rounded(rest));
}

__mmask16 First(size_t n) { return static_cast<__mmask16>(n >= 16 ? 0xFFFFu : (1u << n) - 1u); }

Floats32 LoadFloats(const void* row, size_t count) {
  const auto* p = static_cast<const float*>(row);
  if (count >= kSplitInputs) return {_mm512_loadu_ps(p), _mm512_loadu_ps(p + 16)};
  return {_mm512_maskz_loadu_ps(First(count), p),
          _mm512_maskz_loadu_ps(First(count > 16 ? count - 16 : 0), p + 16)};
}

// Where row r's high numbers begin within a step of x.
size_t RowPlace(size_t r) { return r / kSplitTileRows * 2 * kSplitTile + r % kSplitTileRows * kSplitInputs; }

void SplitRows(const float* x, size_t x_stride, size_t rows, size_t k, uint16_t* out) {
  for (size_t j = 0; j < k; j += kSplitInputs, out += kSplitStep) {
    for (size_t r = 0; r < rows; ++r) StoreSplit(LoadFloats(x + r * x_stride + j, k - j), out + RowPlace(r));
    for (size_t r = rows; r < kSplitRows; ++r) StoreSplit(Zeros(), out + RowPlace(r));
  }
}

using Square = __m512[16];  // of dwords; in a panel each holds a pair of inputs

// Up to 32 elements of 16 bits of each row.
void LoadPairs(const unsigned char* row, size_t row_bytes, size_t rows, size_t count, Square& pairs) {
  if (rows >= kSplitTileRows && count >= kSplitInputs) {
#pragma GCC unroll 16
    for (size_t r = 0; r < kSplitTileRows; ++r) pairs[r] = _mm512_loadu_ps(row + r * row_bytes);
    return;
  }
  const auto mask = static_cast<__mmask32>(count >= 32 ? 0xFFFFFFFFu : (1u << count) - 1u);
  for (size_t r = 0; r < kSplitTileRows; ++r) {
    pairs[r] = r < rows ? _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(mask, row + r * row_bytes))
                        : _mm512_setzero_ps();
  }
}

// What follows turns 32 inputs of up to 16 rows into the two tiles of one panel.
struct ReadF16 {
  static constexpr size_t kBytes = 2;
  static void Panel(const unsigned char* row, size_t row_bytes, size_t rows, size_t count, uint16_t* panel) {
    Square pairs;
    LoadPairs(row, row_bytes, rows, count, pairs);
    Transpose16(pairs);
#pragma GCC unroll 16
    for (size_t p = 0; p < 16; ++p) {
      const __m512i halves = _mm512_castps_si512(pairs[p]);
      StoreSplit({_mm512_cvtph_ps(_mm512_castsi512_si256(halves)),
                  _mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1))},
                 panel + p * kSplitInputs);
    }
  }
};

struct ReadBF16 {
  static constexpr size_t kBytes = 2;
  static void Panel(const unsigned char* row, size_t row_bytes, size_t rows, size_t count, uint16_t* panel) {
    Square pairs;
    LoadPairs(row, row_bytes, rows, count, pairs);
    Transpose16(pairs);
    for (size_t p = 0; p < 16; ++p) {
      _mm512_store_ps(panel + p * kSplitInputs, pairs[p]);
      _mm512_store_si512(panel + kSplitTile + p * kSplitInputs, _mm512_setzero_si512());
    }
  }
};

struct ReadF32 {
  static constexpr size_t kBytes = 4;
  static void Panel(const unsigned char* row, size_t row_bytes, size_t rows, size_t count, uint16_t* panel) {
    alignas(64) uint16_t tiles[2 * kSplitTile];
    for (size_t r = 0; r < kSplitTileRows; ++r) {
      StoreSplit(r < rows ? LoadFloats(row + r * row_bytes, count) : Zeros(), tiles + r * kSplitInputs);
    }
    for (size_t part = 0; part < 2 * kSplitTile; part += kSplitTile) {
      Square pairs;
#pragma GCC unroll 16
      for (size_t r = 0; r < 16; ++r) pairs[r] = _mm512_load_ps(tiles + part + r * kSplitInputs);
      Transpose16(pairs);
#pragma GCC unroll 16
      for (size_t p = 0; p < 16; ++p) _mm512_store_ps(panel + part + p * kSplitInputs, pairs[p]);
    }
  }
};

template <class Read>
void SplitWeights(const void* block, size_t row_bytes, size_t rows, size_t k, const void* next,
                  uint16_t* panels) {
  const auto* bytes = static_cast<const unsigned char*>(block);
  for (size_t j = 0; j < k; j += kSplitInputs, panels += kSplitStep) {
    if (next != nullptr) {
      for (size_t r = 0; r < kSplitRows; ++r) {
        __builtin_prefetch(static_cast<const unsigned char*>(next) + r * row_bytes + j * Read::kBytes);
      }
    }
    for (size_t first = 0; first < kSplitRows; first += kSplitTileRows) {
      const size_t left = rows > first ? rows - first : 0;
      const auto* row = bytes + (left > 0 ? first * row_bytes : 0) + j * Read::kBytes;
      Read::Panel(row, row_bytes, left, k - j, panels + first / kSplitTileRows * 2 * kSplitTile);
    }
  }
}

// Tiles 0 to 3 hold sums, 2 * tile of rows + panel; 4, 5 are rows of x; 6, 7 panels. Tile numbers are part of
// the instructions.
#define MVLM_MULTIPLY                                  \
  _tile_dpbf16ps(0, 4, 6);                             \
  if constexpr (kPanels == 2) _tile_dpbf16ps(1, 4, 7); \
  if constexpr (kTiles == 2) _tile_dpbf16ps(2, 5, 6);  \
  if constexpr (kTiles == 2 && kPanels == 2) _tile_dpbf16ps(3, 5, 7);
#define MVLM_LOAD_ROWS(part)             \
  _tile_loadd(4, x + (part), kRowBytes); \
  if constexpr (kTiles == 2) _tile_loadd(5, x + 2 * kSplitTile + (part), kRowBytes);
#define MVLM_LOAD_PANELS(part)                \
  _tile_loadd(6, panels + (part), kRowBytes); \
  if constexpr (kPanels == 2) _tile_loadd(7, panels + 2 * kSplitTile + (part), kRowBytes);

template <int kTiles, int kPanels>
void MultiplySteps(const uint16_t* x, const uint16_t* panels, size_t steps) {
  for (size_t s = 0; s < steps; ++s, x += kSplitStep, panels += kSplitStep) {
    MVLM_LOAD_ROWS(kSplitTile)
    MVLM_LOAD_PANELS(0)
    MVLM_MULTIPLY
    MVLM_LOAD_ROWS(0)
    MVLM_MULTIPLY
    MVLM_LOAD_PANELS(kSplitTile)
    MVLM_MULTIPLY
  }
}
#undef MVLM_MULTIPLY
#undef MVLM_LOAD_ROWS
#undef MVLM_LOAD_PANELS

// Stores one tile of sums, as far as rows and columns reach.
#define MVLM_STORE(tile)                                                                        \
  {                                                                                             \
    constexpr size_t kRow = (tile) / 2 * kSplitTileRows, kColumn = (tile) % 2 * kSplitTileRows; \
    float* to = y.row + kRow * y.stride + kColumn;                                              \
    if (rows >= kRow + kSplitTileRows && cols >= kColumn + kSplitTileRows) {                    \
      _tile_stored(tile, to, y.stride * sizeof(float));                                         \
    } else {                                                                                    \
      alignas(64) float sums[kSplitTileRows * kSplitTileRows];                                  \
      _tile_stored(tile, sums, kRowBytes);                                                      \
      FinishWrites();                                                                           \
      for (size_t r = 0; r < kSplitTileRows && kRow + r < rows; ++r) {                          \
        _mm512_mask_storeu_ps(to + r * y.stride, First(cols - kColumn),                         \
                              _mm512_load_ps(sums + r * kSplitTileRows));                       \
      }                                                                                         \
    }                                                                                           \
  }
#define MVLM_START(tile)                                                                                  \
  _tile_loadd(tile, start.row + (tile) / 2 * kSplitTileRows * start.stride + (tile) % 2 * kSplitTileRows, \
              start.stride * sizeof(float));

template <int kTiles, int kPanels>
void Multiply(const uint16_t* x, size_t rows, const uint16_t* panels, size_t steps, StartSums start,
              PairSums y, size_t cols) {
  MVLM_START(0)
  if constexpr (kPanels == 2) MVLM_START(1)
  if constexpr (kTiles == 2) MVLM_START(2)
  if constexpr (kTiles == 2 && kPanels == 2) MVLM_START(3)
  MultiplySteps<kTiles, kPanels>(x, panels, steps);
  MVLM_STORE(0)
  if constexpr (kPanels == 2) MVLM_STORE(1)
  if constexpr (kTiles == 2) MVLM_STORE(2)
  if constexpr (kTiles == 2 && kPanels == 2) MVLM_STORE(3)
}
#undef MVLM_STORE
#undef MVLM_START

void Gemm(const uint16_t* x, size_t rows, const uint16_t* panels, size_t steps, StartSums start, PairSums y,
          size_t cols) {
  const bool two_tiles = rows > kSplitTileRows, two_panels = cols > kSplitTileRows;
  FinishWrites();
  const auto multiply = two_tiles ? (two_panels ? Multiply<2, 2> : Multiply<2, 1>)
                                  : (two_panels ? Multiply<1, 2> : Multiply<1, 1>);
  multiply(x, rows, panels, steps, start, y, cols);
  FinishWrites();
}

}  // namespace

constinit const SplitKernels kAmxSplitKernels = {
    .split_rows = SplitRows,
    .split_weights = {SplitWeights<ReadF32>, SplitWeights<ReadF16>, SplitWeights<ReadBF16>},
    .gemm = Gemm,
    .begin = Begin,
    .end = End,
};

}  // namespace mobilevlm
