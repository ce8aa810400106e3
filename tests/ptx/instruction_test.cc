// Instructions that nvcc makes of none of kernels/, in PTX written by hand: needs no nvcc.
#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/ptx/interpreter.h"

namespace fallow::ptx {
namespace {

struct Row {
  std::string body;                     // sets %r3, of %r1 = thread, %r2 = 0x89abcdef
  std::vector<std::uint32_t> expected;  // %r3 of threads 0, 1, 2, ...
};

absl::StatusOr<std::vector<std::uint32_t>> Run(const Row& row) {
  const std::string text = absl::StrCat(R"(.version 8.0
.target sm_80
.address_size 64
.visible .entry K(.param .u64 K_param_0)
{
.reg .pred %p<5>;
.reg .b16 %rs<5>;
.reg .b32 %r<10>;
.reg .b64 %rd<5>;
.shared .align 8 .b8 tile[256];
ld.param.u64 %rd1, [K_param_0];
mov.u32 %r1, %tid.x;
mov.u32 %r2, 0x89abcdef;
mul.wide.u32 %rd2, %r1, 4;
add.s64 %rd1, %rd1, %rd2;
)",
                                        row.body, "\nst.global.u32 [%rd1], %r3;\nret;\n}\n");
  absl::StatusOr<Module> module = Module::Load(text);
  if (!module.ok()) return module.status();
  std::vector<std::uint32_t> results(row.expected.size());
  module->memory().Add(results.data(), static_cast<std::int64_t>(4 * results.size()));
  const unsigned threads = static_cast<unsigned>(results.size());
  absl::Status ran = module->Launch("K", {.block = {threads}}, results.data());
  if (!ran.ok()) return ran;
  return results;
}

TEST_CASE("each instruction gives what the manual says", "[ptx]") {
  const Row rows[] = {
      {"lop3.b32 %r3, %r2, 0x0f0f0f0f, 0x00ff00ff, 0x96;", {0x865bc21f}},  // xor of all three
      {"lop3.b32 %r3, %r2, 0x0f0f0f0f, 0x00ff00ff, 0xe8;", {0x09af0def}},
      {"bfe.s32 %r3, %r2, 8, 8;", {0xffffffcd}},
      {"bfe.u32 %r3, %r2, 28, 8;", {8}},
      {"bfe.s32 %r3, %r2, 28, 8;", {0xfffffff8}},
      {"bfi.b32 %r3, 0x5a, %r2, 8, 8;", {0x89ab5aef}},
      {"prmt.b32 %r3, %r2, 0x01020304, 0x7b08;", {0x01ffefff}},
      {"shf.l.clamp.b32 %r3, %r2, 0x01234567, 40;", {0x89abcdef}},
      {"shf.r.wrap.b32 %r3, %r2, 0x01234567, 36;", {0x789abcde}},
      {"shl.b32 %r3, %r2, 32;", {0}},
      {"shr.s32 %r3, %r2, 99;", {0xffffffff}},
      {"mad.hi.u32 %r3, %r2, 16, 5;", {13}},
      {"mad.wide.s32 %rd3, %r2, 2, 1;\nmov.b64 {_, %r3}, %rd3;", {0xffffffff}},
      {"mov.b64 %rd3, {%r2, %r1};\nmov.b64 {%r3, %r4}, %rd3;\nadd.u32 %r3, %r3, %r4;",
       {0x89abcdef, 0x89abcdf0}},
      {"mov.b32 {%rs1, %rs2}, %r2;\nmov.b32 %r3, {%rs2, %rs1};", {0xcdef89ab}},
      {"cvt.s16.s8 %rs1, 0xef;\ncvt.u32.u16 %r3, %rs1;", {0xffef}},
      {"cvt.sat.u8.s32 %rs1, %r2;\ncvt.u32.u16 %r3, %rs1;", {0}},
      {"cvt.rz.bf16.f32 %rs1, 0f3FFFFFFF;\ncvt.u32.u16 %r3, %rs1;", {0x3fff}},
      {"cvt.rn.bf16x2.f32 %r3, 0f3F800000, 0f40000000;", {0x3f804000}},
      // A product halfway between two numbers, and a little less.
      {"fma.rn.bf16 %rs1, 0x3fc0, 0x3f81, 0x8d80;\ncvt.u32.u16 %r3, %rs1;", {0x3fc1}},
      {"fma.rn.bf16 %rs1, 0x3fc0, 0x3f81, 0;\ncvt.u32.u16 %r3, %rs1;", {0x3fc2}},
      {"min.NaN.f32 %r3, 0f3F800000, 0f7FC00000;", {0x7fffffff}},
      {"max.f32 %r3, 0f80000000, 0f00000000;", {0}},
      {"mul.ftz.f32 %r3, 0f00400000, 0f40000000;", {0}},
      {"abs.f32 %r3, 0fFFC12345;", {0x7fc12345}},
      {"tanh.approx.f32 %r3, 0f00000000;", {0}},
      {"ex2.approx.ftz.f32 %r3, 0f40400000;", {0x41000000}},
      {"add.rp.f32 %r3, 0f3F800000, 0f2F800000;", {0x3f800001}},
      {"setp.gt.or.u32 %p1|%p2, %r1, 1, 0;\nselp.u32 %r3, 7, 9, %p2;", {7, 7, 9}},
      {"setp.gt.u32 %p1, %r1, 0;\nsetp.lt.xor.s32 %p2, %r1, 2, %p1;\nselp.u32 %r3, 1, 0, %p2;",
       {1, 0, 1}},
      {"setp.equ.f32 %p1, 0f7FC00000, 0f00000000;\nselp.u32 %r3, 1, 0, %p1;", {1}},
      {"setp.eq.u32 %p1, %r1, 1;\nnot.pred %p2, %p1;\nor.pred %p1, %p1, %p2;\n"
       "selp.u32 %r3, 1, 0, %p1;",
       {1, 1}},
      {"setp.gt.u32 %p1, %r1, 0;\n@%p1 bra A;\nactivemask.b32 %r3;\nbra B;\n"
       "A: activemask.b32 %r3;\nB:",
       {1, 6, 6}},
      {"TABLE: .branchtargets A, B, C;\nbrx.idx %r1, TABLE;\nA: mov.u32 %r3, 10;\nbra D;\n"
       "B: mov.u32 %r3, 20;\nbra D;\nC: mov.u32 %r3, 30;\nD:",
       {10, 20, 30}},
      {"match.all.sync.b32 %r3|%p1, %r2, 7;\n@!%p1 mov.u32 %r3, 99;", {7, 7, 7}},
      {"match.all.sync.b32 %r4|%p1, %r1, 7;\nselp.u32 %r3, 1, %r4, %p1;", {0, 0, 0}},
      {"redux.sync.xor.b32 %r3, %r1, 7;", {3, 3, 3}},
      {"vote.sync.all.pred %p1, 1, 3;\nselp.u32 %r3, 5, 6, %p1;", {5, 5}},
      {"shl.b32 %r4, %r1, 2;\nst.shared.u32 [%r4], %r1;\nmembar.cta;\nfence.acq_rel.gpu;\n"
       "barrier.sync.aligned 3;\natom.shared.exch.b32 %r3, [%r4], 9;",
       {0, 1}},
      {"st.shared.u32 [tile+8], %r2;\nmov.u64 %rd3, tile;\ncvta.shared.u64 %rd3, %rd3;\n"
       "ld.u32 %r3, [%rd3+8];",
       {0x89abcdef}},
      {"st.global.u32 [%rd1], 5;\natom.global.min.s32 %r3, [%rd1], -3;\n"
       "ld.global.u32 %r4, [%rd1];\nadd.u32 %r3, %r3, %r4;",
       {2}},
      {"mov.u32 %r4, %lanemask_lt;\npopc.b32 %r3, %r4;", {0, 1, 2}},
  };
  for (const Row& row : rows) {
    const absl::StatusOr<std::vector<std::uint32_t>> results = Run(row);
    INFO(row.body << "\n" << results.status());
    CHECK(results.ok());
    if (results.ok()) CHECK(*results == row.expected);
  }
}

}  // namespace
}  // namespace fallow::ptx
