#include "bindings/wake_fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#if defined(__linux__)
#include <sys/eventfd.h>
#endif

#include "base/error.h"

namespace inferkit {
namespace {

[[noreturn]] void refuse() {
  const int number = errno;
  throw Error(
      ErrorCode::system_limit,
      text("no descriptor to wake an event loop: ", std::generic_category().message(number)),
      number);
}

}  // namespace

WakeFd::WakeFd() {
#if defined(__linux__)
  read_end_ = write_end_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (read_end_ < 0) refuse();
#else
  int ends[2];
  if (pipe(ends) != 0) refuse();
  for (const int end : ends) {
    fcntl(end, F_SETFL, O_NONBLOCK);
    fcntl(end, F_SETFD, FD_CLOEXEC);
  }
  read_end_ = ends[0];
  write_end_ = ends[1];
#endif
}

WakeFd::~WakeFd() {
  close(read_end_);
  if (write_end_ != read_end_) close(write_end_);
}

void WakeFd::set() noexcept {
  // A full pipe or counter is readable already, and a signal may not lose the wake.
  const std::uint64_t one = 1;
  while (write(write_end_, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void WakeFd::clear() noexcept {
  std::uint64_t seen[8];
  for (;;) {
    const auto got = read(read_end_, seen, sizeof seen);
    if (got < 0 && errno == EINTR) continue;
    if (got < ssize_t{sizeof seen}) return;  // an eventfd gives 8 bytes at once
  }
}

}  // namespace inferkit
