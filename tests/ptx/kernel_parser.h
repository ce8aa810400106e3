// Parameters, variables and instructions of one kernel.
#pragma once

#include <map>
#include <set>
#include <string>

#include "tests/ptx/program.h"
#include "tests/ptx/token_reader.h"

namespace fallow::ptx {

class KernelParser {
 public:
  // `dynamic_shared` names the module's extern shared arrays, which all begin where the kernel's
  // own shared memory ends. All references outlive the parser.
  KernelParser(TokenReader& reader, const std::set<std::string>& dynamic_shared, Program& program,
               Kernel& kernel)
      : reader_(reader), dynamic_shared_(dynamic_shared), program_(program), kernel_(kernel) {}

  // From the parameters to the closing brace.
  void Run();

 private:
  void Parameters();
  void PerformanceDirectives();
  void Statement();
  void DeclareRegisters();
  void DeclareVariable(std::int64_t& bytes);
  void BranchTargets(const std::string& label);
  void ReadInstruction();
  void Mnemonic(Instruction& instruction);
  Operand ReadOperand();
  Operand WordOperand();
  Operand AddressOperand();
  Operand VectorOperand();
  int RegisterNamed(const std::string& name);
  void Resolve(Operand& operand);
  void ResolveTargets(Instruction& instruction);

  TokenReader& reader_;
  const std::set<std::string>& dynamic_shared_;
  Program& program_;
  Kernel& kernel_;
  std::map<std::string, int> registers_;
  std::map<std::string, int> labels_;                            // to positions in the code
  std::map<std::string, std::vector<std::string>> label_lists_;  // .branchtargets
  std::map<std::string, std::int64_t> variables_;                // shared and local, to offsets
};

}  // namespace fallow::ptx
