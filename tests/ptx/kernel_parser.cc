#include "tests/ptx/kernel_parser.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/ptx/semantics.h"

namespace fallow::ptx {
namespace {

// Places `bytes` more behind the first `end` bytes of a space.
std::int64_t Place(std::int64_t& end, const Declaration& declared) {
  const std::int64_t offset = (end + declared.align - 1) / declared.align * declared.align;
  end = offset + declared.bytes;
  return offset;
}

const std::map<std::string, Special>& Specials() {
  static const std::map<std::string, Special> specials = {
      {"%tid.x", Special::kThreadX},
      {"%tid.y", Special::kThreadY},
      {"%tid.z", Special::kThreadZ},
      {"%ntid.x", Special::kThreadsX},
      {"%ntid.y", Special::kThreadsY},
      {"%ntid.z", Special::kThreadsZ},
      {"%ctaid.x", Special::kBlockX},
      {"%ctaid.y", Special::kBlockY},
      {"%ctaid.z", Special::kBlockZ},
      {"%nctaid.x", Special::kBlocksX},
      {"%nctaid.y", Special::kBlocksY},
      {"%nctaid.z", Special::kBlocksZ},
      {"%laneid", Special::kLane},
      {"%warpid", Special::kWarp},
      {"%lanemask_lt", Special::kLanesBelow},
  };
  return specials;
}

}  // namespace

void KernelParser::Run() {
  Parameters();
  PerformanceDirectives();
  reader_.Expect("{");
  for (int depth = 1; depth > 0 && reader_.ok();) {
    if (reader_.TakeIf("{")) {
      ++depth;  // inline assembly
    } else if (reader_.TakeIf("}")) {
      --depth;
    } else if (reader_.AtEnd()) {
      reader_.Fail("the kernel does not end");
    } else {
      Statement();
    }
  }
  kernel_.registers = static_cast<int>(registers_.size());
  for (Instruction& instruction : kernel_.code) {
    for (Operand& operand : instruction.operands) Resolve(operand);
    ResolveTargets(instruction);
    GiveMeaning(instruction);
  }
}

void KernelParser::Parameters() {
  if (!reader_.TakeIf("(")) return;
  while (reader_.ok() && !reader_.TakeIf(")")) {
    reader_.Expect(".param");
    const Declaration declared = ReadDeclaration(reader_);
    const std::int64_t offset = Place(kernel_.parameter_bytes, declared);
    kernel_.parameters.push_back({declared.name, offset, declared.bytes});
    reader_.TakeIf(",");
  }
}

void KernelParser::PerformanceDirectives() {
  while (reader_.ok() && reader_.Peek()[0] == '.') {
    const std::string word = reader_.Take();
    int product = 1;
    do {
      product *= static_cast<int>(reader_.TakeNumber());
    } while (reader_.TakeIf(","));
    if (word == ".maxntid" || word == ".reqntid") kernel_.max_threads = product;
  }
}

void KernelParser::Statement() {
  if (reader_.Peek(1) == ":") {
    const std::string label = reader_.Take();
    reader_.Take();
    const int position = static_cast<int>(kernel_.code.size());
    if (reader_.Peek() == ".branchtargets") {
      BranchTargets(label);
    } else if (!labels_.emplace(label, position).second) {
      reader_.Fail(absl::StrCat("a second label '", label, "'"));
    }
  } else if (reader_.TakeIf(".reg")) {
    DeclareRegisters();
  } else if (reader_.TakeIf(".shared")) {
    DeclareVariable(kernel_.shared_bytes);
  } else if (reader_.TakeIf(".local")) {
    DeclareVariable(kernel_.local_bytes);
  } else if (reader_.TakeIf(".pragma")) {
    reader_.Take();
    reader_.Expect(";");
  } else if (reader_.Peek()[0] == '.') {
    reader_.Fail(absl::StrCat("directive '", reader_.Peek(), "' is not understood"));
  } else {
    ReadInstruction();
  }
}

void KernelParser::DeclareRegisters() {
  reader_.Take();  // the type
  do {
    const std::string name = reader_.Take();
    if (reader_.TakeIf("<")) {
      const int count = static_cast<int>(reader_.TakeNumber());
      for (int i = 0; i < count; ++i) RegisterNamed(absl::StrCat(name, i));
      reader_.Expect(">");
    } else {
      RegisterNamed(name);
    }
  } while (reader_.TakeIf(","));
  reader_.Expect(";");
}

void KernelParser::DeclareVariable(std::int64_t& bytes) {
  const Declaration declared = ReadDeclaration(reader_);
  variables_[declared.name] = Place(bytes, declared);
  reader_.Expect(";");
}

void KernelParser::BranchTargets(const std::string& label) {
  reader_.Take();
  do {
    label_lists_[label].push_back(reader_.Take());
  } while (reader_.TakeIf(","));
  reader_.Expect(";");
}

void KernelParser::ReadInstruction() {
  Instruction instruction;
  instruction.line = reader_.line();
  instruction.source = reader_.SourceOf(instruction.line);
  if (reader_.TakeIf("@")) {
    instruction.guard_negated = reader_.TakeIf("!");
    instruction.guard = RegisterNamed(reader_.Take());
  }
  Mnemonic(instruction);
  if (instruction.opcode == "call") {  // which has a syntax of its own
    while (reader_.ok() && reader_.Peek() != ";") reader_.Take();
  }
  while (reader_.ok() && !reader_.TakeIf(";")) {
    instruction.operands.push_back(ReadOperand());
    if (reader_.Peek() != ";") reader_.Expect(",");
  }
  kernel_.code.push_back(std::move(instruction));
}

void KernelParser::Mnemonic(Instruction& instruction) {
  instruction.mnemonic = reader_.Take();
  while (reader_.TakeIf(":")) {  // .shared::cta
    if (!reader_.TakeIf(":")) reader_.Fail("':' within an instruction");
    instruction.mnemonic += "::" + reader_.Take();
  }
  std::vector<std::string> parts = absl::StrSplit(instruction.mnemonic, '.');
  instruction.opcode = parts[0];
  instruction.modifiers.assign(parts.begin() + 1, parts.end());
  for (const std::string& modifier : instruction.modifiers) {
    if (const Type type = TypeNamed(modifier); type != Type::kNone) {
      instruction.types.push_back(type);
    }
  }
}

Operand KernelParser::ReadOperand() {
  if (reader_.TakeIf("{")) return VectorOperand();
  if (reader_.TakeIf("[")) return AddressOperand();
  if (reader_.IsNumber()) return {.value = reader_.TakeNumber()};
  const bool negated = reader_.TakeIf("!");
  Operand operand = WordOperand();
  operand.negated = negated;
  return operand;
}

Operand KernelParser::WordOperand() {
  const std::string word = reader_.Take();
  if (word == "_") return {.kind = Operand::Kind::kNowhere};
  if (const auto special = Specials().find(word); special != Specials().end()) {
    return {.kind = Operand::Kind::kSpecial, .special = special->second};
  }
  if (registers_.count(word)) {
    Operand operand{.kind = Operand::Kind::kRegister, .index = RegisterNamed(word)};
    if (reader_.TakeIf("|")) operand.partner = RegisterNamed(reader_.Take());
    return operand;
  }
  Operand operand{.kind = Operand::Kind::kSymbol, .name = word};
  if (reader_.TakeIf("+")) operand.value = reader_.TakeNumber();
  return operand;
}

Operand KernelParser::AddressOperand() {
  Operand operand{.kind = Operand::Kind::kAddress};
  operand.elements.push_back(ReadOperand());
  if (reader_.TakeIf("+")) operand.value = reader_.TakeNumber();
  reader_.Expect("]");
  return operand;
}

Operand KernelParser::VectorOperand() {
  Operand operand{.kind = Operand::Kind::kVector};
  do {
    operand.elements.push_back(ReadOperand());
  } while (reader_.TakeIf(","));
  reader_.Expect("}");
  return operand;
}

int KernelParser::RegisterNamed(const std::string& name) {
  return registers_.emplace(name, static_cast<int>(registers_.size())).first->second;
}

// Variables become immediate addresses within their space; what is left is a label.
void KernelParser::Resolve(Operand& operand) {
  for (Operand& element : operand.elements) Resolve(element);
  if (operand.kind != Operand::Kind::kSymbol) return;
  operand.kind = Operand::Kind::kImmediate;
  for (const Variable& parameter : kernel_.parameters) {
    if (parameter.name == operand.name) operand.value += parameter.offset;
    if (parameter.name == operand.name) return;
  }
  if (const auto found = variables_.find(operand.name); found != variables_.end()) {
    operand.value += found->second;
  } else if (dynamic_shared_.count(operand.name)) {
    operand.value += kernel_.DynamicSharedOffset();
  } else if (const auto global = program_.variables.find(operand.name);
             global != program_.variables.end()) {
    operand.value += reinterpret_cast<std::uint64_t>(global->second.memory.data());
  } else {
    operand.kind = Operand::Kind::kLabel;
  }
}

void KernelParser::ResolveTargets(Instruction& instruction) {
  if (instruction.opcode != "bra" && instruction.opcode != "brx") {
    for (const Operand& operand : instruction.operands) {
      if (operand.kind != Operand::Kind::kLabel || instruction.opcode == "call") continue;
      reader_.Fail(absl::StrCat("line ", instruction.line, ": '", operand.name, "' is not known"));
    }
    return;
  }
  if (instruction.operands.empty()) return reader_.Fail("a branch to nowhere");
  const std::string& name = instruction.operands.back().name;
  const auto list = label_lists_.find(name);
  for (const std::string& label : list != label_lists_.end() ? list->second : std::vector{name}) {
    const auto found = labels_.find(label);
    if (found == labels_.end()) return reader_.Fail(absl::StrCat("no label '", label, "'"));
    instruction.targets.push_back(found->second);
  }
}

}  // namespace fallow::ptx
