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

// noinline: GCC would take malloc and operator delete for a mismatched pair.
[[gnu::noinline]] void* counted(std::size_t bytes,
                                std::align_val_t alignment = std::align_val_t{1}) noexcept {
  ++allocations;
  const auto align = static_cast<std::size_t>(alignment);
  if (align <= alignof(std::max_align_t)) return std::malloc(bytes + 1);  // never nullptr for 0
  return std::aligned_alloc(align, (bytes + align) / align * align);      // wants whole multiples
}

void* or_throw(void* data) {
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

}  // namespace

// All forms: a sanitizer that brings its own must not meet ours half way.
using std::align_val_t;
using std::nothrow_t;
using std::size_t;
void* operator new(size_t n) { return or_throw(counted(n)); }
void* operator new[](size_t n) { return or_throw(counted(n)); }
void* operator new(size_t n, align_val_t a) { return or_throw(counted(n, a)); }
void* operator new[](size_t n, align_val_t a) { return or_throw(counted(n, a)); }
void* operator new(size_t n, const nothrow_t&) noexcept { return counted(n); }
void* operator new[](size_t n, const nothrow_t&) noexcept { return counted(n); }
void* operator new(size_t n, align_val_t a, const nothrow_t&) noexcept { return counted(n, a); }
void* operator new[](size_t n, align_val_t a, const nothrow_t&) noexcept { return counted(n, a); }

// noinline: GCC would see free() beside `new` and take the pair for a mismatch.
#define INFERKIT_FREES(...) \
  [[gnu::noinline]] __VA_ARGS__ noexcept { std::free(data); }
INFERKIT_FREES(void operator delete(void* data))
INFERKIT_FREES(void operator delete[](void* data))
INFERKIT_FREES(void operator delete(void* data, size_t))
INFERKIT_FREES(void operator delete[](void* data, size_t))
INFERKIT_FREES(void operator delete(void* data, align_val_t))
INFERKIT_FREES(void operator delete[](void* data, align_val_t))
INFERKIT_FREES(void operator delete(void* data, size_t, align_val_t))
INFERKIT_FREES(void operator delete[](void* data, size_t, align_val_t))
INFERKIT_FREES(void operator delete(void* data, const nothrow_t&))
INFERKIT_FREES(void operator delete[](void* data, const nothrow_t&))
INFERKIT_FREES(void operator delete(void* data, align_val_t, const nothrow_t&))
INFERKIT_FREES(void operator delete[](void* data, align_val_t, const nothrow_t&))
#undef INFERKIT_FREES

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
  const std::unique_ptr<int> quiet(new (std::nothrow) int(2));
  CHECK(heap_allocations() == before + 4);
  const auto lines = std::make_unique<Line[]>(2);
  CHECK(heap_allocations() == before + 5);
  CHECK(*quiet == 2);
  CHECK(reinterpret_cast<std::uintptr_t>(line.get()) % 64 == 0);
}

}  // namespace
