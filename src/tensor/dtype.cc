#include "tensor/dtype.h"

#include "base/check.h"
#include "base/checked_math.h"

namespace mobilevlm {
namespace {

constexpr DTypeInfo kTypes[] = {
    {DType::kF32, "F32", 1, 4},       {DType::kF16, "F16", 1, 2},       {DType::kQ4_0, "Q4_0", 32, 18},
    {DType::kQ4_1, "Q4_1", 32, 20},   {DType::kQ5_0, "Q5_0", 32, 22},   {DType::kQ5_1, "Q5_1", 32, 24},
    {DType::kQ8_0, "Q8_0", 32, 34},   {DType::kQ2_K, "Q2_K", 256, 84},  {DType::kQ3_K, "Q3_K", 256, 110},
    {DType::kQ4_K, "Q4_K", 256, 144}, {DType::kQ5_K, "Q5_K", 256, 176}, {DType::kQ6_K, "Q6_K", 256, 210},
    {DType::kBF16, "BF16", 1, 2},
};

}  // namespace

const DTypeInfo* FindDType(uint32_t gguf_number) {
  for (const DTypeInfo& info : kTypes) {
    if (static_cast<uint32_t>(info.type) == gguf_number) return &info;
  }
  return nullptr;
}

const DTypeInfo* FindDType(std::string_view name) {
  for (const DTypeInfo& info : kTypes) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

std::string DTypeNames() {
  std::string names;
  for (const DTypeInfo& info : kTypes) {
    if (!names.empty()) names += ", ";
    names += info.name;
  }
  return names;
}

const DTypeInfo& GetDTypeInfo(DType type) {
  const DTypeInfo* info = FindDType(static_cast<uint32_t>(type));
  MVLM_CHECK(info != nullptr, "type number {}", static_cast<uint32_t>(type));
  return *info;
}

std::optional<uint64_t> RowBytes(DType type, uint64_t cols) {
  const DTypeInfo& info = GetDTypeInfo(type);
  if (cols % info.block_size != 0) return std::nullopt;
  return CheckedMul(cols / info.block_size, info.block_bytes);
}

}  // namespace mobilevlm
