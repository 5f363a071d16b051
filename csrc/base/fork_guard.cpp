#include "base/fork_guard.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

namespace inferkit {
namespace {

using Word = std::atomic<std::uint32_t>;

// Each word holds the number of this process, 0 in a child that made no guard yet. Numbers grow
// along a line of descent, so that an ancestor's guard never matches.
std::atomic<std::uint32_t> last_generation{0};
std::atomic<Word*> page{nullptr};
Word handled_word{0};

#if defined(MADV_WIPEONFORK)
Word* map_wiped_page() noexcept {
  const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* const data =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return nullptr;
  if (madvise(data, bytes, MADV_WIPEONFORK) == 0) return static_cast<Word*>(data);
  munmap(data, bytes);
  return nullptr;
}
#else
Word* map_wiped_page() noexcept { return nullptr; }
#endif

// Never unmapped: guards live as long as sessions do, and one page serves them all.
Word* wiped_page() noexcept {
  // acquire: pairs with the release below; the page is mapped and advised before it is seen.
  Word* word = page.load(std::memory_order_acquire);
  if (word != nullptr) return word;
  Word* const fresh = map_wiped_page();
  if (fresh == nullptr) return nullptr;
  // No lock here, as a fork could copy it locked. A second page made meanwhile is just not used.
  if (page.compare_exchange_strong(word, fresh, std::memory_order_acq_rel)) return fresh;
  munmap(fresh, static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
  return word;
}

// The page too: qemu's user mode takes the advice to wipe it and does nothing.
void clear_words() noexcept {
  handled_word.store(0, std::memory_order_relaxed);  // relaxed: a child has one thread
  Word* const word = page.load(std::memory_order_relaxed);
  if (word != nullptr) word->store(0, std::memory_order_relaxed);
}

// As the library is loaded: later it would take a lock, which a fork could copy locked.
[[maybe_unused]] const int watching = pthread_atfork(nullptr, nullptr, clear_words);

std::uint32_t generation_of(Word& word) noexcept {
  // relaxed throughout: equality is all that counts, nothing is published through the word.
  std::uint32_t seen = word.load(std::memory_order_relaxed);
  if (seen != 0) return seen;
  const std::uint32_t next = last_generation.fetch_add(1, std::memory_order_relaxed) + 1;
  return word.compare_exchange_strong(seen, next, std::memory_order_relaxed) ? next : seen;
}

Word& word_for(ForkDetection how) noexcept {
  Word* const word = how == ForkDetection::wiped_page ? wiped_page() : nullptr;
  return word != nullptr ? *word : handled_word;
}

}  // namespace

ForkGuard::ForkGuard() noexcept : ForkGuard(ForkDetection::wiped_page) {}

ForkGuard::ForkGuard(ForkDetection how) noexcept : ForkGuard(word_for(how)) {}

ForkGuard::ForkGuard(Word& word) noexcept : word_(&word), generation_(generation_of(word)) {}

}  // namespace inferkit
