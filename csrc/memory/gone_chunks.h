// Chunks on their way back to the system.
#pragma once

#include <cstddef>
#include <new>

#include "memory/resource.h"

namespace inferkit {

// Collects chunks that nobody needs any more and gives them back when destroyed: made before a
// lock, it does so after it. The list is written into the chunks' own bytes.
// Threads: one. Owns: the chunks. Blocks: the destructor, as the system does. Throws: never.
class GoneChunks {
 public:
  explicit GoneChunks(MemoryResource& resource) noexcept : resource_(resource) {}
  ~GoneChunks() {
    while (first_ != nullptr) {
      const Chunk chunk = *first_;
      resource_.deallocate(reinterpret_cast<std::byte*>(first_), chunk.bytes);
      first_ = chunk.next;
    }
  }
  GoneChunks(const GoneChunks&) = delete;
  GoneChunks& operator=(const GoneChunks&) = delete;

  void add(std::byte* data, std::size_t bytes) noexcept {
    first_ = new (data) Chunk{first_, bytes};
  }

 private:
  struct Chunk {
    Chunk* next;
    std::size_t bytes;
  };

  MemoryResource& resource_;
  Chunk* first_ = nullptr;
};

}  // namespace inferkit
