#include "base/heap_count.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <thread>
#include <utility>
#include <vector>

namespace {

thread_local std::uint64_t allocations = 0;
thread_local bool is_spared = false;

// relaxed throughout: a test arms and disarms while nothing depends on who sees it first.
std::atomic<std::uint64_t> first_refused{0};  // 0: none
std::atomic<bool> refuses_on{false};
std::atomic<std::uint64_t> asked{0};
std::atomic<std::uint64_t> refusals{0};

bool is_refused() noexcept {
  const std::uint64_t first = first_refused.load(std::memory_order_relaxed);
  if (first == 0 || is_spared) return false;
  const std::uint64_t nth = asked.fetch_add(1, std::memory_order_relaxed) + 1;
  if (nth < first) return false;
  if (nth > first && !refuses_on.load(std::memory_order_relaxed)) return false;
  refusals.fetch_add(1, std::memory_order_relaxed);
  return true;
}

// noinline: GCC would take malloc and operator delete for a mismatched pair.
[[gnu::noinline]] void* counted(std::size_t bytes,
                                std::align_val_t alignment = std::align_val_t{1}) noexcept {
  ++allocations;
  if (is_refused()) return nullptr;
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

namespace inferkit::testing {

std::uint64_t heap_allocations() noexcept { return allocations; }
bool spare_heap(bool spared) noexcept { return std::exchange(is_spared, spared); }

HeapShortage::HeapShortage(std::uint64_t first, Lasts lasts) noexcept {
  spare_heap(true);
  asked.store(0, std::memory_order_relaxed);
  refusals.store(0, std::memory_order_relaxed);
  refuses_on.store(lasts == Lasts::on, std::memory_order_relaxed);
  first_refused.store(first, std::memory_order_relaxed);
}
HeapShortage::~HeapShortage() {
  first_refused.store(0, std::memory_order_relaxed);
  spare_heap(false);
}
std::uint64_t HeapShortage::refused() const noexcept {
  return refusals.load(std::memory_order_relaxed);
}

}  // namespace inferkit::testing

using namespace inferkit::testing;

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

// Which of `calls` ways to the heap, one after the other, were refused.
std::vector<bool> refused_of(int calls, std::uint64_t first, HeapShortage::Lasts lasts) {
  std::vector<bool> refused;
  const HeapShortage shortage(first, lasts);
  for (int i = 0; i < calls; ++i) {
    const bool throws = i % 2 == 0;
    bool none = false;
    try {
      const std::unique_ptr<Line> line(
          exposed([&] { return throws ? new Line : new (std::nothrow) Line; }));
      none = line == nullptr;
      CHECK_FALSE((throws && none));
    } catch (const std::bad_alloc&) {
      none = true;
    }
    refused.push_back(none);
  }
  return refused;
}

TEST_CASE("heap_count: a shortage refuses the n-th call, or all from it on, and ends") {
  using Lasts = HeapShortage::Lasts;
  CHECK(refused_of(4, 2, Lasts::once) == std::vector<bool>{false, true, false, false});
  CHECK(refused_of(4, 3, Lasts::once) == std::vector<bool>{false, false, true, false});
  CHECK(refused_of(4, 3, Lasts::on) == std::vector<bool>{false, false, true, true});
  CHECK(refused_of(2, 3, Lasts::on) == std::vector<bool>{false, false});
  CHECK(std::make_unique<int>(1) != nullptr);
}

TEST_CASE("heap_count: a shortage is other threads' too, and counts through all of them") {
  bool refused = false;
  const auto ask = [&] {
    const std::unique_ptr<int> got(new (std::nothrow) int(1));
    refused = got == nullptr;
  };
  std::thread second;
  {
    const HeapShortage shortage(2, HeapShortage::Lasts::once);
    exposed(ask);
    CHECK_FALSE(refused);
    second = std::thread(ask);
    second.join();
    CHECK(refused);
    CHECK(shortage.refused() == 1);
  }
}

}  // namespace
