#include "tests/ptx/symbols.h"

#include <cxxabi.h>
#include <elf.h>
#include <link.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <vector>

namespace fallow::ptx {
namespace {

// How far the program lies from the addresses in its file.
std::uint64_t LoadOffset() {
  std::uint64_t offset = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* to) {
        *static_cast<std::uint64_t*>(to) = info->dlpi_addr;
        return 1;  // the program itself is the first
      },
      &offset);
  return offset;
}

template <typename T>
T At(const std::vector<char>& file, std::uint64_t offset) {
  T value;
  std::memcpy(&value, file.data() + offset, sizeof(T));
  return value;
}

// Of this program's file, by address.
std::map<std::uint64_t, std::string> ReadFunctions() {
  std::ifstream stream("/proc/self/exe", std::ios::binary);
  const std::vector<char> file{std::istreambuf_iterator<char>(stream), {}};
  std::map<std::uint64_t, std::string> functions;
  const auto header = At<Elf64_Ehdr>(file, 0);
  for (int i = 0; i < header.e_shnum; ++i) {
    const auto table = At<Elf64_Shdr>(file, header.e_shoff + i * sizeof(Elf64_Shdr));
    if (table.sh_type != SHT_SYMTAB) continue;
    const auto names = At<Elf64_Shdr>(file, header.e_shoff + table.sh_link * sizeof(Elf64_Shdr));
    for (std::uint64_t at = 0; at < table.sh_size; at += sizeof(Elf64_Sym)) {
      const auto symbol = At<Elf64_Sym>(file, table.sh_offset + at);
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC) continue;
      functions[symbol.st_value] = file.data() + names.sh_offset + symbol.st_name;
    }
  }
  return functions;
}

}  // namespace

std::string Demangled(const std::string& name) {
  int status = 0;
  std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free);
  return status == 0 ? text.get() : name;
}

absl::StatusOr<std::string> NameOfFunction(const void* function) {
  static const std::map<std::uint64_t, std::string> functions = ReadFunctions();
  const auto found = functions.find(reinterpret_cast<std::uint64_t>(function) - LoadOffset());
  if (found == functions.end()) return absl::NotFoundError("a function without a symbol");
  return Demangled(found->second);
}

}  // namespace fallow::ptx
