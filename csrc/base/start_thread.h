// How every thread of ours is started.
#pragma once

#include <functional>
#include <thread>

namespace inferkit {

// A new thread that runs `work`, which must not throw. No process forks meanwhile: the C library
// gives an ended thread's stack to the next one and frees, with no lock held, what its
// thread-locals lay in. A child forked within that would free it again (glibc 2.36,
// get_cached_stack()). Threads: any; one at a time. Blocks: for a fork. Throws: Error(system_limit)
// with the system's number; std::bad_alloc.
[[nodiscard]] std::thread start_thread(std::function<void()> work);

}  // namespace inferkit
