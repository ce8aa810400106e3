#include <array>
#include <string_view>

#include "kernels/kernel_table.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace fallow {

#if defined(__x86_64__)
namespace avx512 {
extern const KernelTable kTable;
}
namespace avx2vnni {
extern const KernelTable kTable;
}
namespace avx2 {
extern const KernelTable kTable;
}
#elif defined(__aarch64__)
namespace neoni8mm {
extern const KernelTable kTable;
}
namespace neondot {
extern const KernelTable kTable;
}
namespace neon {
extern const KernelTable kTable;
}
#endif
namespace generic {
extern const KernelTable kTable;
}

namespace {

#if defined(__x86_64__)

struct Registers {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
};

// All zero for a leaf that the processor does not have.
Registers Cpuid(unsigned leaf, unsigned subleaf) {
  Registers result;
  __get_cpuid_count(leaf, subleaf, &result.eax, &result.ebx, &result.ecx, &result.edx);
  return result;
}

// Which registers the operating system saves when it switches threads: without that they may not be
// used, whatever the processor offers.
unsigned SavedRegisters() {
  unsigned low = 0;
  unsigned high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

constexpr bool HasAll(unsigned value, unsigned bits) { return (value & bits) == bits; }
constexpr unsigned Bit(int i) { return 1u << i; }

struct Features {
  bool avx2 = false;      // AVX2, FMA, F16C
  bool avx2vnni = false;  // and AVX-VNNI
  bool avx512 = false;    // AVX-512 F, BW, DQ, VL, VNNI and BF16
};

// Bits as in Intel's Software Developer's Manual, volume 2A, CPUID, and volume 1, section 13.3.
Features DetectFeatures() {
  const Registers basic = Cpuid(1, 0);
  constexpr unsigned kFma = Bit(12);
  constexpr unsigned kOsxsave = Bit(27);
  constexpr unsigned kAvx = Bit(28);
  constexpr unsigned kF16c = Bit(29);
  if (!HasAll(basic.ecx, kFma | kOsxsave | kAvx | kF16c)) return {};
  constexpr unsigned kYmm = Bit(1) | Bit(2);
  constexpr unsigned kZmm = Bit(5) | Bit(6) | Bit(7);
  const unsigned saved = SavedRegisters();
  const Registers extended = Cpuid(7, 0);
  const Registers more = Cpuid(7, 1);

  Features features;
  constexpr unsigned kAvx2 = Bit(5);
  features.avx2 = HasAll(saved, kYmm) && HasAll(extended.ebx, kAvx2);
  constexpr unsigned kAvxVnni = Bit(4);
  features.avx2vnni = features.avx2 && HasAll(more.eax, kAvxVnni);
  constexpr unsigned kAvx512Fdqbwvl = Bit(16) | Bit(17) | Bit(30) | Bit(31);
  constexpr unsigned kAvx512Vnni = Bit(11);
  constexpr unsigned kAvx512Bf16 = Bit(5);
  features.avx512 = features.avx2 && HasAll(saved, kZmm) && HasAll(extended.ebx, kAvx512Fdqbwvl) &&
                    HasAll(extended.ecx, kAvx512Vnni) && HasAll(more.eax, kAvx512Bf16);
  return features;
}

#elif defined(__aarch64__)

struct Features {
  bool neondot = false;   // DotProd; NEON and FMA are part of AArch64
  bool neoni8mm = false;  // and I8MM and BF16
};

Features DetectFeatures() {
  Features features;
#if defined(__linux__)  // elsewhere nobody has tried
  features.neondot = getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
  constexpr unsigned long kBoth = HWCAP2_I8MM | HWCAP2_BF16;
  features.neoni8mm = features.neondot && (getauxval(AT_HWCAP2) & kBoth) == kBoth;
#endif
  return features;
}

#endif

struct Granted {
  std::array<const KernelTable*, 4> tables = {};
  std::size_t count = 0;

  void Add(const KernelTable& table) { tables[count++] = &table; }
};

Granted FindGranted() {
  Granted granted;
#if defined(__x86_64__)
  const Features features = DetectFeatures();
  if (features.avx512) granted.Add(avx512::kTable);
  if (features.avx2vnni) granted.Add(avx2vnni::kTable);
  if (features.avx2) granted.Add(avx2::kTable);
#elif defined(__aarch64__)
  const Features features = DetectFeatures();
  if (features.neoni8mm) granted.Add(neoni8mm::kTable);
  if (features.neondot) granted.Add(neondot::kTable);
  granted.Add(neon::kTable);
#endif
  granted.Add(generic::kTable);
  return granted;
}

}  // namespace

std::span<const KernelTable* const> CpuKernels() {
  static const Granted kGranted = FindGranted();
  return {kGranted.tables.data(), kGranted.count};
}

const KernelTable* ChooseCpuKernels(const char* isa_or_null) {
  const auto granted = CpuKernels();
  if (!isa_or_null) return granted.front();
  for (const KernelTable* table : granted) {
    if (std::string_view(table->name) == isa_or_null) return table;
  }
  return nullptr;
}

}  // namespace fallow
