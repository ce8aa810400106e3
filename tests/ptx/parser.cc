#include "tests/ptx/parser.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/ptx/kernel_parser.h"
#include "tests/ptx/symbols.h"

namespace fallow::ptx {
namespace {

// What stands outside of kernels.
class ModuleParser {
 public:
  explicit ModuleParser(std::string_view text)
      : reader_(Tokenize(text), absl::StrSplit(std::string(text), '\n')) {}

  absl::StatusOr<Program> Run() {
    while (reader_.ok() && !reader_.AtEnd()) Directive();
    if (!reader_.ok()) return absl::InvalidArgumentError(reader_.error());
    return std::move(program_);
  }

 private:
  void Directive() {
    const std::string word = reader_.Take();
    static const std::set<std::string> kLinkage = {".visible", ".extern", ".weak", ".common"};
    if (kLinkage.count(word)) {
      extern_ = extern_ || word == ".extern";
      return;
    }
    if (word == ".version" || word == ".address_size") {
      reader_.Take();
    } else if (word == ".target") {
      do {
        reader_.Take();
      } while (reader_.TakeIf(","));
    } else if (word == ".func") {
      SkipFunction();
    } else if (word == ".entry") {
      Entry();
    } else if (word == ".shared" && extern_) {
      dynamic_shared_.insert(ReadDeclaration(reader_).name);
      reader_.Expect(";");
    } else if (word == ".global" || word == ".const") {
      ModuleVariable();
    } else {
      reader_.Fail(absl::StrCat("directive '", word, "' is not understood"));
    }
    extern_ = false;
  }

  void SkipFunction() {
    while (reader_.ok() && !reader_.AtEnd() && reader_.Peek() != "{") {
      if (reader_.Take() == ";") return;
    }
    int depth = 0;
    do {
      const std::string word = reader_.Take();
      depth += (word == "{") - (word == "}");
    } while (depth > 0 && !reader_.AtEnd());
  }

  void ModuleVariable() {
    const Declaration declared = ReadDeclaration(reader_);
    Program::Storage& storage = program_.variables[declared.name];
    storage.bytes = declared.bytes;
    storage.memory.resize((declared.bytes + 7) / 8);
    if (reader_.TakeIf("=")) Initialise(declared, storage);
    reader_.Expect(";");
  }

  void Initialise(const Declaration& declared, Program::Storage& storage) {
    auto* bytes = reinterpret_cast<unsigned char*>(storage.memory.data());
    const bool list = reader_.TakeIf("{");
    for (std::int64_t at = 0; reader_.ok(); at += declared.element_bytes) {
      const std::uint64_t value = reader_.TakeNumber();
      if (at + declared.element_bytes > declared.bytes) {
        reader_.Fail(absl::StrCat("more values than ", declared.name, " holds"));
        return;
      }
      std::memcpy(bytes + at, &value, declared.element_bytes);
      if (!list || !reader_.TakeIf(",")) break;
    }
    if (list) reader_.Expect("}");
  }

  void Entry() {
    auto kernel = std::make_unique<Kernel>();
    kernel->name = reader_.Take();
    kernel->signature = Demangled(kernel->name);
    KernelParser(reader_, dynamic_shared_, program_, *kernel).Run();
    program_.kernels[kernel->name] = std::move(kernel);
  }

  TokenReader reader_;
  Program program_;
  bool extern_ = false;
  std::set<std::string> dynamic_shared_;
};

}  // namespace

absl::StatusOr<Program> Parse(std::string_view text) { return ModuleParser(text).Run(); }

}  // namespace fallow::ptx
