// What the interpreter must refuse, in PTX written by hand: needs no nvcc.
#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/ptx/interpreter.h"
#include "tests/ptx/symbols.h"

namespace fallow::ptx {
namespace {

// A kernel K(x) whose first instructions have x's address in %rd1 and the thread in %r1.
Module KernelOf(const std::string& body) {
  const std::string text = absl::StrCat(R"(.version 8.0
.target sm_80
.address_size 64
.visible .entry K(.param .u64 K_param_0)
{
.reg .pred %p<4>;
.reg .b32 %r<10>;
.reg .b64 %rd<4>;
.shared .align 16 .b8 tile[64];
ld.param.u64 %rd1, [K_param_0];
mov.u32 %r1, %tid.x;
)",
                                        body, "\nret;\n}\n");
  absl::StatusOr<Module> module = Module::Load(text);
  INFO(module.status());
  REQUIRE(module.ok());
  return *std::move(module);
}

struct Refusal {
  std::string name;
  std::string body;
  unsigned threads;
  std::string message;
};

TEST_CASE("what a device would not forgive is an error with its line", "[ptx]") {
  const Refusal refusals[] = {
      {"behind a buffer", "ld.global.u32 %r2, [%rd1+16];", 1,
       "line 12: 4 bytes at 16 of a buffer of 16 bytes: ld.global.u32 %r2, [%rd1+16];"},
      {"partly behind a buffer", "add.s64 %rd1, %rd1, 8; ld.global.u64 %rd2, [%rd1+8];", 1,
       "8 bytes at 16 of a buffer"},
      {"in front of a buffer", "ld.global.u8 %r2, [%rd1+-1];", 1, "in front of all buffers"},
      {"misaligned", "ld.global.u32 %r2, [%rd1+2];", 1, "misaligned access of 4 bytes"},
      {"a misaligned vector", "ld.global.v2.u32 {%r2, %r3}, [%rd1+4];", 1,
       "misaligned access of 8 bytes"},
      {"behind shared memory", "st.shared.u32 [tile+64], %r1;", 1, "4 bytes at 64 of 64 bytes"},
      {"shared memory nobody wrote", "ld.shared.u32 %r2, [tile];", 1, "was not written"},
      {"a barrier for some lanes", "setp.lt.u32 %p1, %r1, 16;\n@%p1 bar.sync 0;", 32,
       "line 13: barrier in divergent code: lanes ffff of the warp are there, lanes ffff0000 "
       "have ended"},
      {"lanes at two barriers",
       "setp.lt.u32 %p1, %r1, 16;\n@%p1 bra A;\nbar.sync 0;\nbra B;\nA: bar.sync 0;\nB:", 32,
       "barrier in divergent code"},
      {"warps at two barriers",
       "setp.lt.u32 %p1, %r1, 32;\n@%p1 bra A;\nbar.sync 0;\nbra B;\nA: bar.sync 1;\nB:", 64,
       "nothing can go on: [warp 0 lanes ffffffff line 16: A: bar.sync 1;]"},
      {"a shuffle that misses a lane",
       "setp.eq.u32 %p1, %r1, 7;\n@%p1 bra A;\nshfl.sync.idx.b32 %r2, %r1, 0, 31, -1;\nbra B;\n"
       "A: bar.warp.sync -1;\nB:",
       32, "nothing can go on"},
      {"a shuffle from a lane that ended",
       "setp.eq.u32 %p1, %r1, 7;\n@%p1 exit;\nshfl.sync.idx.b32 %r2, %r1, 7, 31, -1;", 32,
       "reads a lane that does not take part"},
      {"a mask without its own lane", "shfl.sync.idx.b32 %r2, %r1, 0, 31, 1;", 32,
       "its own mask does not name"},
      {"an endless loop", "A: bra A;", 1, "no end in sight"},
      {"a trap", "trap;", 1, "the kernel gave up"},
      {"a write to a parameter", "st.param.u32 [K_param_0], %r1;", 1, "a write to parameters"},
  };
  for (const Refusal& refusal : refusals) {
    std::vector<std::uint32_t> x(4);
    Module module = KernelOf(refusal.body);
    module.memory().Add(x.data(), 16);
    const absl::Status ran =
        module.Launch("K", {.block = {refusal.threads}, .max_instructions = 1000000}, x.data());
    INFO(refusal.name << ": " << ran);
    CHECK(ran.code() == absl::StatusCode::kInternal);
    CHECK(std::string(ran.message()).find(refusal.message) != std::string::npos);
  }
}

TEST_CASE("a write to a read-only buffer is an error", "[ptx]") {
  const std::vector<std::uint32_t> x(4);
  for (const char* body : {"st.global.u32 [%rd1], %r1;", "red.global.add.u32 [%rd1], 1;"}) {
    Module module = KernelOf(body);
    module.memory().AddReadOnly(x.data(), 16);
    const absl::Status ran = module.Launch("K", {}, x.data());
    CHECK(ran.message().find("read-only") != std::string::npos);
  }
}

TEST_CASE("an unknown instruction keeps its kernel from starting", "[ptx]") {
  for (const char* unknown : {"wgmma.fence.sync.aligned;", "add.sat.s32 %r2, %r1, %r1;",
                              "mad.lo.s32 %r2, %r1, %r1;", "cvt.s32.f32 %r2, %r1;"}) {
    Module module = KernelOf(absl::StrCat("bra A;\n", unknown, "\nA:"));
    const std::uint64_t x = 0;
    const absl::Status ran = module.Launch("K", {}, x);
    const std::string text(unknown);
    INFO(ran);
    CHECK(ran.code() == absl::StatusCode::kUnimplemented);
    CHECK(std::string(ran.message())
              .find(absl::StrCat("line 13: ", text.substr(0, text.find_first_of(" ;")),
                                 " is not known")) != std::string::npos);
  }
}

TEST_CASE("text that is not PTX is an error with its line", "[ptx]") {
  const auto message_of = [](const std::string& body) {
    const absl::Status status =
        Module::Load(absl::StrCat(".version 8.0\n.entry K()\n{\n", body, "\n}\n")).status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  CHECK(message_of(".reg .b32 a;\nmov.u32 a, nowhere;").find("'nowhere' is not known") !=
        std::string::npos);
  CHECK(message_of("bra A;").find("no label 'A'") != std::string::npos);
  CHECK(message_of("A:\nA:").find("a second label 'A'") != std::string::npos);
  CHECK(message_of(".what 1;").find("line 4: directive '.what'") != std::string::npos);
  CHECK(message_of("ld.global.u32 %r1, [%rd1;").find("']' expected") != std::string::npos);
  CHECK(message_of("{").find("the kernel does not end") != std::string::npos);
}

TEST_CASE("a launch must fit the kernel", "[ptx]") {
  Module module = KernelOf("");
  const std::uint64_t x = 0;
  const std::uint32_t narrow = 0;
  const auto code = absl::StatusCode::kInvalidArgument;
  CHECK(module.Launch("K", {}, x) == absl::OkStatus());
  CHECK(module.Launch("L", {}, x).code() == code);
  CHECK(module.Launch("K", {}).code() == code);
  CHECK(module.Launch("K", {}, x, x).code() == code);
  CHECK(module.Launch("K", {}, narrow).code() == code);
  CHECK(module.Launch("K", {.block = {1025}}, x).code() == code);
  CHECK(module.Launch("K", {.grid = {0}}, x).code() == code);
}

template <int kNumber>
void Numbered(float) {}

TEST_CASE("functions of this program have names", "[ptx]") {
  const absl::StatusOr<std::string> name =
      NameOfFunction(reinterpret_cast<const void*>(&Numbered<7>));
  REQUIRE(name.ok());
  CHECK(name->find("Numbered<7>(float)") != std::string::npos);
  const int no_function = 0;
  CHECK(NameOfFunction(&no_function).status().code() == absl::StatusCode::kNotFound);
}

TEST_CASE("counts say what ran, how often, and what never did", "[ptx]") {
  Module module = KernelOf(
      "setp.lt.u32 %p1, %r1, 40;\n@%p1 add.u32 %r2, %r1, 1;\n@!%p1 bra A;\nbra B;\n"
      "xor.b32 %r2, %r2, %r1;\nA:\nB:");
  const std::uint64_t x = 0;
  REQUIRE(module.Launch("K", {.grid = {2}, .block = {64}}, x) == absl::OkStatus());
  for (const OpcodeCount& count : module.Counts()) {
    if (count.mnemonic == "add.u32") CHECK((count.warp_runs == 4 && count.lane_runs == 80));
    if (count.mnemonic == "xor.b32") CHECK((count.places == 1 && count.places_run == 0));
  }
  CHECK(module.Report().find("never ran: xor.b32, at 1 places") != std::string::npos);
}

}  // namespace
}  // namespace fallow::ptx
