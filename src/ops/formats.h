// From a tensor's type to the kernels' format number.
#pragma once

#include <optional>

#include "base/check.h"
#include "kernels/kernels.h"
#include "tensor/dtype.h"

namespace mobilevlm {

// nullopt: the kernels do not read this type.
inline std::optional<KernelFormat> FindKernelFormat(DType type) {
  switch (type) {
    case DType::kF32:
      return kFormatF32;
    case DType::kF16:
      return kFormatF16;
    case DType::kBF16:
      return kFormatBF16;
    case DType::kQ8_0:
      return kFormatQ8_0;
    default:
      return std::nullopt;
  }
}

inline KernelFormat GetKernelFormat(DType type) {
  const std::optional<KernelFormat> format = FindKernelFormat(type);
  MVLM_CHECK(format.has_value(), "no kernel reads {}", DTypeName(type));
  return *format;
}

}  // namespace mobilevlm
