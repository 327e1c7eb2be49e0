// A sequence of oneDNN primitives whose arguments are all in place: running it only executes them. What lives no longer
// than one run (scratchpads, internal layouts) lies in a workspace that all programs of a thread share.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <oneapi/dnnl/dnnl.hpp>
#include <utility>
#include <vector>

namespace dml::cpu {

/// Throws DeviceError with the call's text and place unless it succeeded.
#define DML_DNNL_CHECK(call) ::dml::cpu::check_dnnl((call), #call, __FILE__, __LINE__)
void check_dnnl(dnnl_status_t status, const char* call, const char* file, int line);

/// While it lives, primitives that the calling thread makes use one thread if `limited`.
class SingleThread {
 public:
  explicit SingleThread(bool limited);
  ~SingleThread();
  SingleThread(const SingleThread&) = delete;
  SingleThread& operator=(const SingleThread&) = delete;

 private:
  int granted_ = 0;
};

/// What oneDNN makes of a primitive with these arguments, an operation kind or its memory descriptors first. Since
/// version 3 there is no descriptor of the operation in between.
template <typename Primitive, typename... Arguments>
typename Primitive::primitive_desc describe(const dnnl::engine& engine, const dnnl::primitive_attr& attributes,
                                            const Arguments&... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, arguments..., attributes};
#else
  return {typename Primitive::desc(arguments...), attributes, engine};
#endif
}

/// The same of a gradient, which follows the primitive of the forward pass.
template <typename Gradient, typename Forward, typename... Arguments>
typename Gradient::primitive_desc describe_gradient(const dnnl::engine& engine, const dnnl::primitive_attr& attributes,
                                                    const Forward& forward, const Arguments&... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, arguments..., forward, attributes};
#else
  return {typename Gradient::desc(arguments...), attributes, engine, forward};
#endif
}

class DnnlProgram {
 public:
  using Arguments = std::initializer_list<std::pair<int, dnnl::memory>>;

  DnnlProgram();
  const dnnl::engine& engine() const { return engine_; }
  /// Attributes with the scratchpad in the workspace.
  static dnnl::primitive_attr attributes();
  /// The same of a result that is `factor` times what the primitive computes, added to what is there if `accumulates`.
  static dnnl::primitive_attr attributes(float factor, bool accumulates);

  /// A buffer of the caller's.
  dnnl::memory bound(const dnnl::memory::desc& desc, void* data) const { return {desc, engine_, data}; }
  /// A buffer in the workspace, whose content lasts for one run.
  dnnl::memory temporary(const dnnl::memory::desc& desc);
  /// `user` in layout `wanted`: itself, or a temporary. The conversion to it or from it is a step that the caller adds.
  dnnl::memory in_layout(const dnnl::memory& user, const dnnl::memory::desc& wanted);

  /// Appends a conversion of layouts; nothing where both are one buffer.
  void add_reorder(const dnnl::memory& from, const dnnl::memory& to);
  /// Appends a primitive; its scratchpad is added to the arguments.
  template <typename PrimitiveDesc>
  void add(const PrimitiveDesc& desc, const dnnl::primitive& primitive, Arguments arguments) {
    add_step(primitive, arguments, desc.scratchpad_desc());
  }

  /// Executes all steps. Allocates only where the calling thread's workspace is too small.
  void run();

 private:
  struct Step {
    dnnl::primitive primitive;
    std::vector<dnnl_exec_arg_t> arguments;
  };
  struct Temporary {
    dnnl::memory memory;
    std::size_t offset;
  };
  void add_step(const dnnl::primitive& primitive, Arguments arguments, const dnnl::memory::desc& scratchpad);

  dnnl::engine engine_;
  dnnl::stream stream_;
  std::vector<Step> steps_;
  std::vector<dnnl::memory> memories_;  // keeps the arguments of the steps alive
  std::vector<Temporary> temporaries_;
  std::size_t workspace_bytes_ = 0;
  std::byte* workspace_ = nullptr;  // where the temporaries lie now
};

}  // namespace dml::cpu
