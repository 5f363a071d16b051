#include "base/heap_count.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

namespace {

thread_local std::uint64_t allocations = 0;

void* counted(std::size_t bytes, std::size_t alignment) {
  ++allocations;
  // aligned_alloc wants a multiple of the alignment.
  const std::size_t rounded = (bytes + alignment) / alignment * alignment;
  void* const data = alignment <= alignof(std::max_align_t)
                         ? std::malloc(rounded)
                         : std::aligned_alloc(alignment, rounded);
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

}  // namespace

void* operator new(std::size_t bytes) { return counted(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
// noinline: GCC would see free() beside `new` and take the pair for a mismatch.
[[gnu::noinline]] void operator delete(void* data) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, std::size_t) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, std::align_val_t) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, std::size_t, std::align_val_t) noexcept {
  std::free(data);
}

std::uint64_t inferkit::testing::heap_allocations() noexcept { return allocations; }

using inferkit::testing::heap_allocations;

namespace {

struct alignas(64) Line {
  char bytes[64];
};

TEST_CASE("heap_count: every way to the heap counts, doing nothing does not") {
  const auto before = heap_allocations();
  CHECK(heap_allocations() == before);
  const auto one = std::make_unique<int>(1);
  CHECK(heap_allocations() == before + 1);
  const auto line = std::make_unique<Line>();
  CHECK(heap_allocations() == before + 2);
  const std::vector<int> many(*one > 0 ? 1000U : 0U);
  CHECK(heap_allocations() == before + 3);
  CHECK(many.size() == 1000);
  CHECK(reinterpret_cast<std::uintptr_t>(line.get()) % 64 == 0);
}

}  // namespace
