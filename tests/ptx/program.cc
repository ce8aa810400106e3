#include "tests/ptx/program.h"

#include <algorithm>

namespace fallow::ptx {
namespace {

struct TypeName {
  std::string_view name;
  Type type;
  int bytes;
};

constexpr TypeName kTypes[] = {
    {"pred", Type::kPred, 1}, {"b8", Type::kB8, 1},       {"u8", Type::kU8, 1},
    {"s8", Type::kS8, 1},     {"b16", Type::kB16, 2},     {"u16", Type::kU16, 2},
    {"s16", Type::kS16, 2},   {"f16", Type::kF16, 2},     {"bf16", Type::kBf16, 2},
    {"b32", Type::kB32, 4},   {"u32", Type::kU32, 4},     {"s32", Type::kS32, 4},
    {"f32", Type::kF32, 4},   {"f16x2", Type::kF16x2, 4}, {"bf16x2", Type::kBf16x2, 4},
    {"b64", Type::kB64, 8},   {"u64", Type::kU64, 8},     {"s64", Type::kS64, 8},
    {"f64", Type::kF64, 8},
};

}  // namespace

Type TypeNamed(std::string_view name) {
  for (const TypeName& type : kTypes) {
    if (type.name == name) return type.type;
  }
  return Type::kNone;
}

int BytesOf(Type type) {
  for (const TypeName& known : kTypes) {
    if (known.type == type) return known.bytes;
  }
  return 0;
}

bool Instruction::Has(std::string_view modifier) const {
  return std::find(modifiers.begin(), modifiers.end(), modifier) != modifiers.end();
}

bool Instruction::HasOnly(std::initializer_list<std::string_view> known) const {
  return std::all_of(modifiers.begin(), modifiers.end(), [&](const std::string& modifier) {
    return TypeNamed(modifier) != Type::kNone ||
           std::find(known.begin(), known.end(), modifier) != known.end();
  });
}

}  // namespace fallow::ptx
