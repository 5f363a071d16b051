// A file descriptor that an event loop watches and any thread can make readable.
#pragma once

namespace inferkit {

// Threads: set() from any; clear() by the watcher. Owns: the descriptor, or two where the system
// has no eventfd; close-on-exec, non-blocking. Blocks: never. Throws: the constructor,
// Error(system_limit) when there are no descriptors left.
class WakeFd {
 public:
  WakeFd();
  ~WakeFd();
  WakeFd(const WakeFd&) = delete;
  WakeFd& operator=(const WakeFd&) = delete;

  void set() noexcept;
  void clear() noexcept;
  [[nodiscard]] int watched() const noexcept { return read_end_; }

 private:
  int read_end_ = -1;
  int write_end_ = -1;
};

}  // namespace inferkit
