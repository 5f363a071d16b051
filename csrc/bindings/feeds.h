// From what a caller feeds to a request that the engine has admitted.
#pragma once

#include <Python.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bindings/call_args.h"
#include "bindings/ref.h"
#include "bindings/session.h"

namespace inferkit {

// Which outputs a caller wants, in its order. Empty: all of them.
using OutputSelection = std::vector<std::uint32_t>;

// False with InvalidInputError naming the unknown output and the known ones. `names` null: all.
[[nodiscard]] bool select_outputs(SessionObject* session, PyObject* names, OutputSelection& out);

// The inputs of one call, checked and C-contiguous, ready to be admitted as often as it takes.
// Exact ndarrays that fit are used as they are; other layouts are copied after their size was
// checked; what is no ndarray goes through inferkit._inputs.
// Threads: with the GIL. Owns: references to the arrays.
class Feeds {
 public:
  // False with InvalidInputError (or what the caller's own objects raised, as its cause) set.
  [[nodiscard]] bool read(SessionObject* session, PyObject* feeds);

  // Whether admit() would take the shapes; it looks itself. False with InvalidInputError set.
  [[nodiscard]] bool check_shapes(SessionObject* session);

  // Copies what still is the caller's: it may be changed while the request waits for room. False
  // with an exception set.
  [[nodiscard]] bool keep();

  // Null with an exception set; or null without one: announce, and there is no room now.
  // Releases the GIL from 64 KiB on.
  [[nodiscard]] EngineRequest* admit(SessionObject* session, const CallArgs& call, EngineSink* sink,
                                     void* user, IfFull if_full);

 private:
  [[nodiscard]] bool collect(SessionObject* session, PyObject* feeds);
  [[nodiscard]] bool settle(const SessionFacts& facts);

  static constexpr std::size_t kInline = 4;  // models with more inputs pay an allocation
  [[nodiscard]] Ref* arrays() noexcept {
    return count_ <= kInline ? few_arrays_.data() : many_arrays_.data();
  }
  [[nodiscard]] TensorView* views() noexcept {
    return count_ <= kInline ? few_views_.data() : many_views_.data();
  }
  void reserve(std::size_t count);

  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
  std::array<Ref, kInline> few_arrays_;
  std::array<TensorView, kInline> few_views_;
  std::vector<Ref> many_arrays_;
  std::vector<TensorView> many_views_;
};

}  // namespace inferkit
