// The memory that ONNX Runtime computes in.
#pragma once

#include <cstddef>
#include <string>

#include "backend/ort_abi.h"
#include "backend/ort_handle.h"
#include "memory/tensor_pool.h"

namespace inferkit::ort {

// What the calling thread may still take from Memory, until destroyed: what it takes is taken away,
// and not given back with the bytes. Nothing is refused on a thread without one.
// Threads: one; not nested. Owns: nothing.
class Ration {
 public:
  explicit Ration(std::size_t& left_bytes) noexcept;
  ~Ration();
  Ration(const Ration&) = delete;
  Ration& operator=(const Ration&) = delete;
};

// What the calling thread takes from Memory until this is destroyed is charged to `payer` until it
// is given back, on whatever thread: a run takes no more than its session may have.
// Threads: one; not nested. Owns: nothing; what is charged keeps the payer alive.
class Charged {
 public:
  explicit Charged(TensorPool& payer) noexcept;
  ~Charged();
  Charged(const Charged&) = delete;
  Charged& operator=(const Charged&) = delete;
};

// What the calling thread takes from Memory until this is destroyed is there to stay: weights.
// Threads: one; not nested. Owns: nothing.
class Loading {
 public:
  Loading() noexcept;
  ~Loading();
  Loading(const Loading&) = delete;
  Loading& operator=(const Loading&) = delete;
};

// A tensor pool that ONNX Runtime takes weights and intermediate results from, in place of an
// arena per session: large weights lie on huge pages, which its own heap never asks for, and what
// one session has done with serves the next (docs/adr/0009).
// A child of fork() goes on with its copy.
// Threads: any. Owns: the pool; an env that took it keeps a pointer to it for ever, so that one is
// never deleted. Blocks: like the pool. Throws: the constructor, Error.
class Memory {
 public:
  // Registers itself with the env, unless that has an allocator for the CPU already: then
  // refusal() says so, and sessions keep arenas of their own.
  Memory(const Api& api, Env* env);
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  [[nodiscard]] bool serves() const noexcept { return refusal_.empty(); }
  // Why it does not serve, in ONNX Runtime's words.
  [[nodiscard]] const std::string& refusal() const noexcept { return refusal_; }
  // Gives back to the system what no session uses at the moment.
  void trim() noexcept { pool_->trim(); }
  [[nodiscard]] PoolStats stats() const noexcept { return pool_->stats(); }
  [[nodiscard]] TensorPool& pool() noexcept { return *pool_; }

 private:
  // What ONNX Runtime holds; its functions find their way back through `memory`.
  struct Door : Allocator {
    Memory* memory = nullptr;
  };

  static void* allocate(Allocator* door, std::size_t bytes);
  static void give_back(Allocator* door, void* data) noexcept;
  static const MemoryInfo* describe(const Allocator* door) noexcept;

  PoolRef pool_;
  Door door_;
  Handle<MemoryInfo> info_;
  std::string refusal_;
};

}  // namespace inferkit::ort
