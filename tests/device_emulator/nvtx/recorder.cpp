// What a profiler would be told: a library that NVTX loads by NVTX_INJECTION64_PATH, and that writes the names of all
// ranges to the file NVTX_RANGES at exit, in their order, each behind one space per range around it.
#include <nvtx3/nvToolsExt.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>

namespace {

struct Ranges {
  std::mutex mutex;
  std::string text;
};
Ranges& ranges() {
  static auto* all = new Ranges;  // read at exit
  return *all;
}
thread_local int depth = 0;

int push(const char* name) {
  const std::lock_guard lock(ranges().mutex);
  ranges().text += std::string(static_cast<std::size_t>(depth), ' ') + name + "\n";
  return depth++;
}

int pop() { return --depth; }

void write() {
  const char* path = std::getenv("NVTX_RANGES");
  std::FILE* file = path == nullptr ? nullptr : std::fopen(path, "w");
  if (file == nullptr) return;
  std::fputs(ranges().text.c_str(), file);
  std::fclose(file);
}

template <typename Function>
void put(NvtxFunctionTable table, int id, Function* function) {
  *table[id] = reinterpret_cast<NvtxFunctionPointer>(function);
}

}  // namespace

extern "C" int InitializeInjectionNvtx2(NvtxGetExportTableFunc_t table_of) {
  const auto* callbacks = static_cast<const NvtxExportTableCallbacks*>(table_of(NVTX_ETID_CALLBACKS));
  NvtxFunctionTable table = nullptr;
  unsigned size = 0;
  if (callbacks == nullptr || callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE, &table, &size) == 0) return 0;
  put(table, NVTX_CBID_CORE_RangePushA, push);
  put(table, NVTX_CBID_CORE_RangePop, pop);
  return std::atexit(write) == 0 ? 1 : 0;
}
