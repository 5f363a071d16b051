// Rows from anywhere into one block: the kernel's body, which the CPU can run too.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)
#define INFERKIT_HOST_DEVICE __host__ __device__
#else
#define INFERKIT_HOST_DEVICE
#endif

namespace inferkit {

// One row of a batch; rows may differ in length.
struct GatherRow {
  const std::byte* source = nullptr;
  std::size_t bytes = 0;
  std::size_t offset = 0;  // in the destination
};

// What one thread moves at once. may_alias: the bytes may hold anything.
struct alignas(16) [[gnu::may_alias]] GatherWord16 {
  std::uint64_t low;
  std::uint64_t high;
};
using GatherWord4 [[gnu::may_alias]] = std::uint32_t;

// Copies every `workers`-th word from the `worker`-th on, so that neighbours touch neighbours.
// Returns how many bytes whole words cover.
template <class Word>
INFERKIT_HOST_DEVICE inline std::size_t gather_words(const std::byte* from, std::byte* to,
                                                     std::size_t bytes, std::size_t worker,
                                                     std::size_t workers) {
  const std::size_t words = bytes / sizeof(Word);
  for (std::size_t i = worker; i < words; i += workers) {
    reinterpret_cast<Word*>(to)[i] = reinterpret_cast<const Word*>(from)[i];
  }
  return words * sizeof(Word);
}

// The share of `worker` (0 .. workers-1) in copying `row`; together they copy all of it. The
// widest word that source and destination are both aligned to, then the tail byte by byte.
INFERKIT_HOST_DEVICE inline void gather_row(const GatherRow& row, std::byte* destination,
                                            std::size_t worker, std::size_t workers) {
  std::byte* const to = destination + row.offset;
  const auto misalignment =
      reinterpret_cast<std::uintptr_t>(row.source) | reinterpret_cast<std::uintptr_t>(to);
  std::size_t done = 0;
  if (misalignment % sizeof(GatherWord16) == 0) {
    done = gather_words<GatherWord16>(row.source, to, row.bytes, worker, workers);
  } else if (misalignment % sizeof(GatherWord4) == 0) {
    done = gather_words<GatherWord4>(row.source, to, row.bytes, worker, workers);
  }
  for (std::size_t i = done + worker; i < row.bytes; i += workers) to[i] = row.source[i];
}

}  // namespace inferkit
