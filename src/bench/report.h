// The result of a benchmark, and the three ways to read it: a table, JSON, and a roofline picture.
#pragma once

#include <cstdint>
#include <string>

#include "bench/latency.h"
#include "costs/ceilings.h"
#include "costs/counts.h"
#include "mobilevlm/mobilevlm.h"
#include "tensor/dtype.h"

namespace mobilevlm::bench {

inline constexpr double kGiga = 1e9;  // GB and GOP count in powers of ten

struct Report {
  std::string cpu;
  ModelInfo model;
  costs::Ceilings ceilings;

  // Of the model, by counts.h.
  DType text_type = DType::kF32, vision_type = DType::kF32;  // of most of the weights
  uint64_t file_bytes = 0;                                   // both files
  costs::EncodeOperations encode_operations;
  uint64_t encode_bytes = 0;  // weights that one picture reads
  double prompt_operations = 0;
  uint64_t decode_weight_bytes = 0;  // that one token reads
  uint64_t kv_bytes_per_position = 0;
  double decode_operations = 0;  // of the token in the middle of the headline's

  int prompt_positions = 0;
  Latency latency;
  // Of processes of their own. Without them the series is empty, the memory 0, and no table or JSON has them.
  Series first_token;           // from the start of the process
  uint64_t peak_rss_bytes = 0;  // of one that loads, encodes, prompts and decodes

  double encode_s() const { return latency.encode.median(); }
  double prompt_tok_s() const;
  double decode_tok_s() const { return DecodeTokS(latency.headline); }
  static double DecodeTokS(const DepthSeries& series);

  // Operations per second, 10^9, that the arithmetic of the step could reach: int8 for quantised weights.
  double EncodePeak() const;
  double PromptPeak() const;
  // Bytes that the token in the middle of a series reads.
  double DecodeBytes(const DepthSeries& series) const;

  // What was reached, of the ceiling: 0 to 1 up to noise. Only the amx kernels can do more than the ceilings
  // of arithmetic, which are those of vectors: they multiply bytes in tiles, where the int8 ceiling is that
  // of VPDPBUSD, and floats as pairs of bfloat16, where the fp32 ceiling is that of float multiply-adds.
  double encode_fraction() const;
  double prompt_fraction() const;
  double decode_fraction() const { return DecodeFraction(latency.headline); }
  double DecodeFraction(const DepthSeries& series) const;
};

std::string ToTable(const Report& report);
std::string ToJson(const Report& report);

}  // namespace mobilevlm::bench
