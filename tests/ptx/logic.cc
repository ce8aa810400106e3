// Bits, comparisons and choices.
#include <bit>
#include <cmath>
#include <map>

#include "tests/ptx/lane_wise.h"

namespace fallow::ptx {
namespace {

// d = operation(a, b...) of all bits, or of predicates.
template <int kInputs, typename Operation>
void BindBits(Instruction& instruction, Operation operation) {
  if (!instruction.HasOnly({})) return;
  if (instruction.type() == Type::kPred) {
    return SetMeaning(instruction, kInputs + 1, EachLane<bool, kInputs>([operation](auto... bits) {
                        return (operation(std::uint64_t{bits}...) & 1) != 0;
                      }));
  }
  if (BytesOf(instruction.type()) < 2) return;
  SetMeaning(instruction, kInputs + 1, EachLane<std::uint64_t, kInputs>(operation));
}

void BindAnd(Instruction& instruction) {
  BindBits<2>(instruction, [](std::uint64_t a, std::uint64_t b) { return a & b; });
}
void BindOr(Instruction& instruction) {
  BindBits<2>(instruction, [](std::uint64_t a, std::uint64_t b) { return a | b; });
}
void BindXor(Instruction& instruction) {
  BindBits<2>(instruction, [](std::uint64_t a, std::uint64_t b) { return a ^ b; });
}
void BindNot(Instruction& instruction) {
  BindBits<1>(instruction, [](std::uint64_t a) { return ~a; });
}

// Shifts by the width or more give zero, or of signed numbers the sign.
template <bool kLeft>
void BindShift(Instruction& instruction) {
  if (!instruction.HasOnly({})) return;
  SetMeaning(instruction, 3, ForInteger(instruction.type(), [](auto zero) -> Semantics {
               using T = decltype(zero);
               return [](Step& step) {
                 constexpr std::uint32_t kBits = 8 * sizeof(T);
                 ForEachLane(step.lanes, [&](int lane) {
                   const T a = step.Read<T>(1, lane);
                   const auto by = step.Read<std::uint32_t>(2, lane);
                   const T gone = !kLeft && a < 0 ? static_cast<T>(-1) : T{0};
                   const auto left = static_cast<T>(static_cast<std::uint64_t>(a) << by % 64);
                   const auto right = static_cast<T>(a >> by % kBits);
                   step.Write(0, lane, by >= kBits ? gone : kLeft ? left : right);
                 });
               };
             }));
}

// 32 bits out of the 64 of {high, low}.
void BindFunnelShift(Instruction& instruction) {
  if (!instruction.HasOnly({"l", "r", "wrap", "clamp"})) return;
  if (instruction.type() != Type::kB32) return;
  const bool left = instruction.Has("l");
  const bool wrap = instruction.Has("wrap");
  const auto operation = [left, wrap](std::uint32_t low, std::uint32_t high, std::uint32_t by) {
    by = wrap ? by % 32 : std::min(by, 32u);
    const std::uint64_t both = std::uint64_t{high} << 32 | low;
    return static_cast<std::uint32_t>(left ? both << by >> 32 : both >> by);
  };
  SetMeaning(instruction, 4, EachLane<std::uint32_t, 3>(operation));
}

void BindExtract(Instruction& instruction) {
  const bool is_signed = instruction.type() == Type::kS32;
  if (!instruction.HasOnly({}) || BytesOf(instruction.type()) != 4) return;
  const auto operation = [is_signed](std::uint32_t a, std::uint32_t at, std::uint32_t length) {
    at &= 255;
    length &= 255;
    const std::uint32_t sign_at = std::min(at + length, 32u) - 1;
    const bool negative = is_signed && length > 0 && a >> sign_at & 1;
    std::uint32_t result = 0;
    for (std::uint32_t i = 0; i < 32; ++i) {
      const bool bit = i < length && at + i < 32 ? a >> (at + i) & 1 : negative;
      result |= std::uint32_t{bit} << i;
    }
    return result;
  };
  SetMeaning(instruction, 4, EachLane<std::uint32_t, 3>(operation));
}

// d = b with bits [at, at + length) from a.
void BindInsert(Instruction& instruction) {
  if (!instruction.HasOnly({}) || instruction.type() != Type::kB32) return;
  const auto operation = [](std::uint32_t a, std::uint32_t b, std::uint32_t at,
                            std::uint32_t length) {
    for (std::uint32_t i = 0; i < (length & 255) && (at & 255) + i < 32; ++i) {
      const std::uint32_t bit = 1u << ((at & 255) + i);
      b = a >> i & 1 ? b | bit : b & ~bit;
    }
    return b;
  };
  SetMeaning(instruction, 5, EachLane<std::uint32_t, 4>(operation));
}

// Bytes of {b, a} by the four selectors; the top bit of a selector spreads the sign of its byte.
void BindPermute(Instruction& instruction) {
  if (!instruction.HasOnly({}) || instruction.type() != Type::kB32) return;
  const auto operation = [](std::uint32_t a, std::uint32_t b, std::uint32_t selectors) {
    const std::uint64_t bytes = std::uint64_t{b} << 32 | a;
    std::uint32_t result = 0;
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t selector = selectors >> (4 * i) & 15;
      std::uint32_t byte = bytes >> (8 * (selector & 7)) & 255;
      if (selector & 8) byte = byte & 0x80 ? 255 : 0;
      result |= byte << (8 * i);
    }
    return result;
  };
  SetMeaning(instruction, 4, EachLane<std::uint32_t, 3>(operation));
}

// Any function of three bits, by its table.
void BindTable(Instruction& instruction) {
  if (!instruction.HasOnly({}) || instruction.type() != Type::kB32) return;
  const auto operation = [](std::uint32_t a, std::uint32_t b, std::uint32_t c,
                            std::uint32_t table) {
    std::uint32_t result = 0;
    for (int i = 0; i < 32; ++i) {
      const std::uint32_t row = (a >> i & 1) * 4 + (b >> i & 1) * 2 + (c >> i & 1);
      result |= (table >> row & 1) << i;
    }
    return result;
  };
  SetMeaning(instruction, 5, EachLane<std::uint32_t, 4>(operation));
}

template <int (*kCount)(std::uint64_t)>
void BindCount(Instruction& instruction) {
  const int bytes = BytesOf(instruction.type());
  if (!instruction.HasOnly({}) || bytes < 4) return;
  SetMeaning(instruction, 2, EachLane<std::uint64_t, 1>([bytes](std::uint64_t a) {
               // A count of leading zeros sees a word of 32 bits at the top, ones below it.
               const std::uint64_t narrow = kCount(1) == 63 ? a << 32 | 0xffffffff : a & 0xffffffff;
               return static_cast<std::uint64_t>(kCount(bytes == 8 ? a : narrow));
             }));
}

int LeadingZeros(std::uint64_t a) { return std::countl_zero(a); }
int Ones(std::uint64_t a) { return std::popcount(a); }

void BindReverse(Instruction& instruction) {
  const int bits = 8 * BytesOf(instruction.type());
  if (!instruction.HasOnly({}) || bits < 32) return;
  SetMeaning(instruction, 2, EachLane<std::uint64_t, 1>([bits](std::uint64_t a) {
               std::uint64_t result = 0;
               for (int i = 0; i < bits; ++i) result |= (a >> i & 1) << (bits - 1 - i);
               return result;
             }));
}

// a: the comparison's outcomes for less, equal, greater and unordered.
struct Outcomes {
  bool less, equal, greater, unordered;
};

const std::map<std::string_view, Outcomes>& Comparisons() {
  static const std::map<std::string_view, Outcomes> comparisons = {
      {"eq", {false, true, false, false}}, {"ne", {true, false, true, false}},
      {"lt", {true, false, false, false}}, {"le", {true, true, false, false}},
      {"gt", {false, false, true, false}}, {"ge", {false, true, true, false}},
      {"lo", {true, false, false, false}}, {"ls", {true, true, false, false}},
      {"hi", {false, false, true, false}}, {"hs", {false, true, true, false}},
      {"equ", {false, true, false, true}}, {"neu", {true, false, true, true}},
      {"ltu", {true, false, false, true}}, {"leu", {true, true, false, true}},
      {"gtu", {false, false, true, true}}, {"geu", {false, true, true, true}},
      {"num", {true, true, true, false}},  {"nan", {false, false, false, true}},
  };
  return comparisons;
}

template <typename T>
bool Compare(const Outcomes& outcomes, T a, T b) {
  if constexpr (IsFloat16<T>::value) {
    return Compare(outcomes, a.Value(), b.Value());
  } else {
    if (a < b) return outcomes.less;
    if (a > b) return outcomes.greater;
    return a == b ? outcomes.equal : outcomes.unordered;
  }
}

// setp.lt.and.s32 p|q, a, b, c: p = (a < b) and c, q = !(a < b) and c.
template <typename T>
Semantics SetPredicate(const Outcomes& outcomes, char combination) {
  return [outcomes, combination](Step& step) {
    ForEachLane(step.lanes, [&](int lane) {
      const bool compared = Compare(outcomes, step.Read<T>(1, lane), step.Read<T>(2, lane));
      const bool c = combination != '\0' && step.Read<bool>(3, lane);
      const auto combine = [&](bool p) {
        if (combination == 'a') return p && c;
        if (combination == 'o') return p || c;
        return p != c;  // xor, or c is false because there is none
      };
      step.Write(0, lane, combine(compared));
      const int partner = step.operand(0).partner;
      if (partner >= 0) step.warp.Register(partner, lane) = combine(!compared);
    });
  };
}

void BindSetPredicate(Instruction& instruction) {
  if (instruction.modifiers.empty()) return;
  const auto comparison = Comparisons().find(instruction.modifiers[0]);
  if (comparison == Comparisons().end()) return;
  if (!instruction.HasOnly({comparison->first, "and", "or", "xor"})) return;
  const bool combined = instruction.modifiers.size() == 3;
  const char combination = combined ? instruction.modifiers[1][0] : '\0';
  const auto make = [&](auto zero) {
    return SetPredicate<decltype(zero)>(comparison->second, combination);
  };
  Semantics run = ForInteger(instruction.type(), make);
  if (instruction.type() == Type::kF32) run = make(float{});
  if (instruction.type() == Type::kF64) run = make(double{});
  if (instruction.type() == Type::kF16) run = make(Fp16{});
  if (instruction.type() == Type::kBf16) run = make(Bf16{});
  SetMeaning(instruction, combined ? 4 : 3, std::move(run));
}

void BindSelect(Instruction& instruction) {
  if (!instruction.HasOnly({}) || BytesOf(instruction.type()) < 2) return;
  SetMeaning(instruction, 4, [](Step& step) {
    ForEachLane(step.lanes, [&](int lane) {
      step.Write(0, lane, step.Read<std::uint64_t>(step.Read<bool>(3, lane) ? 1 : 2, lane));
    });
  });
}

}  // namespace

std::span<const NamedBinder> LogicBinders() {
  static constexpr NamedBinder kBinders[] = {
      {"and", BindAnd},          {"or", BindOr},           {"xor", BindXor},
      {"not", BindNot},          {"shl", BindShift<true>}, {"shr", BindShift<false>},
      {"shf", BindFunnelShift},  {"bfe", BindExtract},     {"bfi", BindInsert},
      {"prmt", BindPermute},     {"lop3", BindTable},      {"clz", BindCount<LeadingZeros>},
      {"popc", BindCount<Ones>}, {"brev", BindReverse},    {"setp", BindSetPredicate},
      {"selp", BindSelect},
  };
  return kBinders;
}

}  // namespace fallow::ptx
