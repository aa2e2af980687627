// One block of each quantised format from its 32 or 256 values x with weights w (quantize/encode.h).
#pragma once

#include "tensor/blocks.h"

namespace mobilevlm {

void EncodeBlock(const float* x, const float* w, BlockQ4_0& block);
void EncodeBlock(const float* x, const float* w, BlockQ4_1& block);
void EncodeBlock(const float* x, const float* w, BlockQ5_0& block);
void EncodeBlock(const float* x, const float* w, BlockQ5_1& block);
void EncodeBlock(const float* x, const float* w, BlockQ8_0& block);
void EncodeBlock(const float* x, const float* w, BlockQ2_K& block);
void EncodeBlock(const float* x, const float* w, BlockQ3_K& block);
void EncodeBlock(const float* x, const float* w, BlockQ4_K& block);
void EncodeBlock(const float* x, const float* w, BlockQ5_K& block);
void EncodeBlock(const float* x, const float* w, BlockQ6_K& block);

}  // namespace mobilevlm
