#include "model/stored_type.h"

#include <iterator>

namespace fallow {
namespace {

struct TypeInfo {
  StoredType type;
  std::string_view name;
  int block_elements;
  int block_bytes;
};

constexpr TypeInfo kTypes[] = {
    {StoredType::kF32, "F32", 1, 4},         {StoredType::kF16, "F16", 1, 2},
    {StoredType::kBF16, "BF16", 1, 2},       {StoredType::kI64, "I64", 1, 8},
    {StoredType::kI32, "I32", 1, 4},         {StoredType::kU8, "U8", 1, 1},
    {StoredType::kQ8_0, "Q8_0", 32, 34},     {StoredType::kQ4_0, "Q4_0", 32, 18},
    {StoredType::kQ4_1, "Q4_1", 32, 20},     {StoredType::kQ5_0, "Q5_0", 32, 22},
    {StoredType::kQ5_1, "Q5_1", 32, 24},     {StoredType::kQ2_K, "Q2_K", 256, 84},
    {StoredType::kQ3_K, "Q3_K", 256, 110},   {StoredType::kQ4_K, "Q4_K", 256, 144},
    {StoredType::kQ5_K, "Q5_K", 256, 176},   {StoredType::kQ6_K, "Q6_K", 256, 210},
    {StoredType::kIQ4_NL, "IQ4_NL", 32, 18},
};

constexpr bool InOrderOfType() {
  for (std::size_t i = 0; i < std::size(kTypes); ++i) {
    if (kTypes[i].type != static_cast<StoredType>(i)) return false;
  }
  return true;
}
static_assert(InOrderOfType());

const TypeInfo& Info(StoredType type) { return kTypes[static_cast<int>(type)]; }

}  // namespace

std::string_view Name(StoredType type) { return Info(type).name; }

int BlockElements(StoredType type) { return Info(type).block_elements; }

int BlockBytes(StoredType type) { return Info(type).block_bytes; }

bool IsQuantised(StoredType type) { return BlockElements(type) > 1; }

std::int64_t StoredBytes(StoredType type, std::int64_t elements) {
  return elements / BlockElements(type) * BlockBytes(type);
}

std::optional<StoredType> StoredTypeNamed(std::string_view name) {
  for (const TypeInfo& info : kTypes) {
    if (info.name == name) return info.type;
  }
  return std::nullopt;
}

std::int64_t StoredTensor::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t size : shape) product *= size;
  return product;
}

std::optional<std::int64_t> CheckedElements(std::span<const std::int64_t> shape) {
  std::int64_t product = 1;
  for (const std::int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(product, size, &product)) return std::nullopt;
  }
  if (product > kMaxElements) return std::nullopt;
  return product;
}

}  // namespace fallow
