#include "kernels/cpu/dnnl_program.h"

#include <oneapi/dnnl/dnnl_debug.h>
#include <memory>
#include <new>
#include <string>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "kernels/error.h"

namespace dml::cpu {
namespace {

constexpr std::size_t kAlignment = 64;

struct AlignedDelete {
  void operator()(std::byte* bytes) const { ::operator delete(bytes, std::align_val_t{kAlignment}); }
};

/// Grows to the largest demand of the thread and stays.
struct Workspace {
  std::unique_ptr<std::byte, AlignedDelete> bytes;
  std::size_t size = 0;

  std::byte* reserve(std::size_t wanted) {
    if (wanted > size) {
      bytes.reset();
      bytes.reset(static_cast<std::byte*>(::operator new(wanted, std::align_val_t{kAlignment})));
      size = wanted;
    }
    return bytes.get();
  }
};

thread_local Workspace thread_workspace;

/// Before version 3 the padding of `memory` is cleared on the stream; since then primitives see to it.
void put(const dnnl::memory& memory, std::byte* bytes, [[maybe_unused]] const dnnl::stream& stream) {
#if DNNL_VERSION_MAJOR >= 3
  memory.set_data_handle(bytes);
#else
  memory.set_data_handle(bytes, stream);
#endif
}

const dnnl::engine& thread_engine() {
  thread_local const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

}  // namespace

void check_dnnl(dnnl_status_t status, const char* call, const char* file, int line) {
  if (status == dnnl_success) return;
  throw DeviceError(std::string(call) + " failed with " + dnnl_status2str(status) + " at " + file + ":" +
                    std::to_string(line));
}

#ifdef _OPENMP
SingleThread::SingleThread(bool limited) : granted_(omp_get_max_threads()) {
  if (limited) omp_set_num_threads(1);
}
SingleThread::~SingleThread() { omp_set_num_threads(granted_); }
#else
SingleThread::SingleThread(bool) {}
SingleThread::~SingleThread() = default;
#endif

DnnlProgram::DnnlProgram() : engine_(thread_engine()), stream_(engine_) {}

dnnl::primitive_attr DnnlProgram::attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

dnnl::primitive_attr DnnlProgram::attributes(float factor, bool accumulates) {
  dnnl::primitive_attr result = attributes();
  dnnl::post_ops after;
  if (factor != 1) {
#if DNNL_VERSION_MAJOR >= 3
    after.append_eltwise(dnnl::algorithm::eltwise_linear, factor, 0);
#else
    result.set_output_scales(0, {factor});
#endif
  }
  if (accumulates) after.append_sum(1);
  result.set_post_ops(after);
  return result;
}

dnnl::memory DnnlProgram::temporary(const dnnl::memory::desc& desc) {
  dnnl::memory memory(desc, engine_, nullptr);
  temporaries_.push_back({memory, workspace_bytes_});
  workspace_bytes_ += (desc.get_size() + kAlignment - 1) / kAlignment * kAlignment;
  workspace_ = nullptr;
  return memory;
}

dnnl::memory DnnlProgram::in_layout(const dnnl::memory& user, const dnnl::memory::desc& wanted) {
  return user.get_desc() == wanted ? user : temporary(wanted);
}

void DnnlProgram::add_reorder(const dnnl::memory& from, const dnnl::memory& to) {
  if (from == to) return;
  const dnnl::reorder::primitive_desc desc(engine_, from.get_desc(), engine_, to.get_desc(), attributes());
  add(desc, dnnl::reorder(desc), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
}

void DnnlProgram::add_step(const dnnl::primitive& primitive, Arguments arguments,
                           const dnnl::memory::desc& scratchpad) {
  Step step{primitive, {}};
  const auto append = [&](int name, const dnnl::memory& memory) {
    memories_.push_back(memory);
    step.arguments.push_back({name, memory.get()});
  };
  for (const auto& [name, memory] : arguments) append(name, memory);
  if (scratchpad.get_size() > 0) append(DNNL_ARG_SCRATCHPAD, temporary(scratchpad));
  steps_.push_back(std::move(step));
}

void DnnlProgram::run() {
  std::byte* const workspace = thread_workspace.reserve(workspace_bytes_);
  if (workspace != workspace_) {
    for (const Temporary& each : temporaries_) put(each.memory, workspace + each.offset, stream_);
    workspace_ = workspace;
  }
  for (const Step& step : steps_) {
    DML_DNNL_CHECK(dnnl_primitive_execute(step.primitive.get(), stream_.get(), static_cast<int>(step.arguments.size()),
                                          step.arguments.data()));
  }
}

}  // namespace dml::cpu
