// A MemoryResource that counts, checks what comes back, and refuses on demand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

#include "memory/host_resource.h"

namespace inferkit::testing {

// Threads: any. Owns: nothing; chunks come from host_resource().
class CountingResource final : public MemoryResource {
 public:
  [[nodiscard]] std::byte* allocate(std::size_t bytes) noexcept override {
    const std::lock_guard lock(mutex_);
    ++calls_;
    if (allowed_ == 0) return nullptr;
    if (allowed_ > 0) --allowed_;
    std::byte* const data = host_resource().allocate(bytes);
    if (data != nullptr) {
      held_[data] = bytes;
      bytes_held_ += bytes;
    }
    return data;
  }

  void deallocate(std::byte* data, std::size_t bytes) noexcept override {
    const std::lock_guard lock(mutex_);
    ++calls_;
    const auto found = held_.find(data);
    if (found == held_.end() || found->second != bytes) {
      ++mismatches_;
      return;
    }
    held_.erase(found);
    bytes_held_ -= bytes;
    host_resource().deallocate(data, bytes);
  }

  // Refuses everything after `count` more allocations; a negative count never refuses.
  void allow(int count) {
    const std::lock_guard lock(mutex_);
    allowed_ = count;
  }

  [[nodiscard]] std::uint64_t calls() const { return read(calls_); }
  [[nodiscard]] std::size_t bytes_held() const { return read(bytes_held_); }
  // Deallocations that name a chunk never given out, or its wrong size.
  [[nodiscard]] std::uint64_t mismatches() const { return read(mismatches_); }

 private:
  template <class T>
  [[nodiscard]] T read(const T& value) const {
    const std::lock_guard lock(mutex_);
    return value;
  }

  mutable std::mutex mutex_;
  std::map<std::byte*, std::size_t> held_;
  std::size_t bytes_held_ = 0;
  std::uint64_t calls_ = 0;
  std::uint64_t mismatches_ = 0;
  int allowed_ = -1;
};

}  // namespace inferkit::testing
