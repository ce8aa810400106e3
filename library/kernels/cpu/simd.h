// Sixteen lanes, for every instruction set: all that the kernels in cpu.cc files know of it.
//
// A cpu.cc file is compiled once per instruction set, with -DFALLOW_ISA=avx512, avx2vnni, avx2,
// neoni8mm, neondot, neon or generic, into the namespace of that name. Each header beside this one
// defines the same things:
//
//   Floats       16 floats; + - * /, Fma (one rounding), MulAdd (one rounding or two, as is fast)
//   Ints         16 int32
//   Slice        64 bytes of a panel: 4 bytes of consecutive k for each of 16 rows (panel.h)
//   kByteBias    what DotBytes takes from each byte of a slice before it multiplies
//   NibbleSums   what DotNibbles sums into: Ints, or a form that takes products of 4-bit codes only
//   Tiles        how many panels and rows of activations to multiply at a time
//
// Each operation on Floats is one IEEE operation a lane (MulAdd apart) and each on Ints is exact,
// so kernels that use no MulAdd and no DotBf16 give the same bits on every instruction set.
//
// All is in an unnamed namespace, though in headers: a function with external linkage could be
// merged with its twin from another instruction set, and then run where that is not granted. For
// the same reason cpu.cc files use no templates of the standard library.
#pragma once

#ifndef FALLOW_ISA
#define FALLOW_ISA generic
#endif

#define FALLOW_ISA_CODE_generic 1
#define FALLOW_ISA_CODE_avx2 2
#define FALLOW_ISA_CODE_avx2vnni 3
#define FALLOW_ISA_CODE_avx512 4
#define FALLOW_ISA_CODE_neon 5
#define FALLOW_ISA_CODE_neondot 6
#define FALLOW_ISA_CODE_neoni8mm 7
#define FALLOW_ISA_CODE_OF_INNER(isa) FALLOW_ISA_CODE_##isa
#define FALLOW_ISA_CODE_OF(isa) FALLOW_ISA_CODE_OF_INNER(isa)
#define FALLOW_ISA_CODE FALLOW_ISA_CODE_OF(FALLOW_ISA)

#define FALLOW_UNROLL _Pragma("GCC unroll 16")

#if FALLOW_ISA_CODE == FALLOW_ISA_CODE_avx512
#include "kernels/cpu/simd_avx512.h"
#elif FALLOW_ISA_CODE == FALLOW_ISA_CODE_avx2 || FALLOW_ISA_CODE == FALLOW_ISA_CODE_avx2vnni
#include "kernels/cpu/simd_avx2.h"
#elif FALLOW_ISA_CODE >= FALLOW_ISA_CODE_neon
#include "kernels/cpu/simd_neon.h"
#else
#include "kernels/cpu/simd_generic.h"
#endif
