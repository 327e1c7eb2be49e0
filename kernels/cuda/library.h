// A vendor's shared library, opened when it is first needed: linked, it would cost every start of the program its load
// time and memory, and a missing one could not be reported in one line.
#pragma once

#include <cstddef>

namespace dml::cuda {

/// Opened for the rest of the process: what a library of this kind starts cannot be unloaded.
class Library {
 public:
  /// `soname` as "libcudnn.so.9", `product` as "cuDNN 9". Throws DeviceError that says what would do where it cannot be
  /// opened.
  Library(const char* soname, const char* product);

  /// Sets `function` to the library's `symbol`. Throws DeviceError where it has none of that name.
  template <typename Function>
  void find(Function*& function, const char* symbol) const {
    function = reinterpret_cast<Function*>(address_of(symbol));
  }
  /// Throws DeviceError unless `version`, as the library tells it, is of the major version that headers are of.
  void require_major(std::size_t version, std::size_t per_major, std::size_t major) const;

 private:
  void* address_of(const char* symbol) const;

  const char* soname_;
  const char* product_;
  void* handle_;
};

/// Deleter of a vendor's object: calls `destroy` of the functions that `table()` returns.
template <auto table, auto destroy>
struct Destroy {
  template <typename Object>
  void operator()(Object* object) const {
    (table().*destroy)(object);
  }
};

}  // namespace dml::cuda
