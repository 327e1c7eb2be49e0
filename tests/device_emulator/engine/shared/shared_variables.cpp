#include "tests/device_emulator/engine/shared/shared_variables.h"

#include <dlfcn.h>
#include <elf.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <string>

#include "tests/device_emulator/engine/kernels.h"

namespace dml::emulator {
namespace {

struct Symbol {
  std::string function;  // mangled name of the function that declares it, without the leading _Z
  SharedVariable variable;
};

template <typename T>
T read_at(const std::vector<char>& file, std::size_t offset) {
  T value{};
  if (offset + sizeof value <= file.size()) std::memcpy(&value, file.data() + offset, sizeof value);
  return value;
}

// A variable `v` of function _ZF is called _ZZFE1v (Itanium C++ ABI, local names).
void add_symbols(const std::vector<char>& file, const Elf64_Shdr& symbols, const Elf64_Shdr& names,
                 std::vector<Symbol>& all) {
  for (std::size_t i = 0; i < symbols.sh_size / sizeof(Elf64_Sym); ++i) {
    const auto symbol = read_at<Elf64_Sym>(file, symbols.sh_offset + i * sizeof(Elf64_Sym));
    if (ELF64_ST_TYPE(symbol.st_info) != STT_TLS || symbol.st_size == 0) continue;
    if (names.sh_offset + symbol.st_name >= file.size()) continue;
    const std::string name = file.data() + names.sh_offset + symbol.st_name;
    if (name.rfind("_ZZ", 0) == 0) all.push_back({name.substr(3), {symbol.st_value, symbol.st_size}});
  }
}

std::vector<Symbol> read_symbols(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::vector<char> file{std::istreambuf_iterator<char>(stream), {}};
  std::vector<Symbol> all;
  if (file.size() < sizeof(Elf64_Ehdr)) return all;
  const auto header = read_at<Elf64_Ehdr>(file, 0);
  for (int i = 0; i < header.e_shnum; ++i) {
    const auto section = read_at<Elf64_Shdr>(file, header.e_shoff + static_cast<std::size_t>(i) * sizeof(Elf64_Shdr));
    if (section.sh_type != SHT_SYMTAB) continue;
    add_symbols(file, section, read_at<Elf64_Shdr>(file, header.e_shoff + section.sh_link * sizeof(Elf64_Shdr)), all);
  }
  return all;
}

const std::vector<Symbol>& symbols_of(const std::string& path) {
  static std::mutex mutex;
  static auto* all = new std::map<std::string, std::vector<Symbol>>;
  const std::lock_guard lock(mutex);
  const auto found = all->find(path);
  return found != all->end() ? found->second : all->emplace(path, read_symbols(path)).first->second;
}

}  // namespace

std::vector<SharedVariable> shared_variables_of(const void* kernel) {
  std::vector<SharedVariable> variables;
  Dl_info where{};
  if (dladdr(kernel, &where) == 0 || where.dli_sname == nullptr) return variables;
  const std::string own = std::string(where.dli_sname).substr(2) + "E";
  for (const Symbol& symbol : symbols_of(where.dli_fname)) {
    const bool is_own = symbol.function.rfind(own, 0) == 0;
    if (is_own || !is_in_kernel("_Z" + symbol.function)) variables.push_back(symbol.variable);
  }
  return variables;
}

}  // namespace dml::emulator
