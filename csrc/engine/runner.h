// What a thread of the engine's own does.
#pragma once

#include "base/failpoint.h"
#include "engine/executor.h"
#include "engine/scheduler.h"

namespace inferkit {

// Runs what nobody else runs, until `stopping` is set and the bay notified. Returns between batches
// only. Threads: one per number `me`. Blocks: parked in the bay, and for each run. Throws: never.
template <class Atom>
void serve_batches(std::uint32_t me, Scheduler<Atom>& scheduler, Executor<Atom>& executor,
                   const typename Atom::template Atomic<bool>& stopping) {
  RunnerBay<Atom>& bay = scheduler.runners();
  Role<Atom> role;
  role.kind = Role<Atom>::Kind::runner;
  for (;;) {
    bay.consume(me);
    INFERKIT_FAILPOINT("engine.runner_looks");
    // After consuming: the call that came with `stopping` must not be eaten by a runner that looked
    // a moment too early. relaxed: consume()'s acquire pairs with notify_all()'s release.
    if (stopping.load(std::memory_order_relaxed)) return;
    int lease = bay.take_assigned();
    if (lease == kNoLease) {
      lease = scheduler.ring(role);
    } else {
      // The call may have been for queued work too: let somebody else see to it.
      static_cast<void>(scheduler.ring({}));
    }
    if (lease == kNoLease) {
      bay.park(me);
      continue;
    }
    while (lease != kNoLease) {
      executor.run(scheduler.batch(lease), static_cast<std::uint32_t>(lease), RanOn::runner,
                   nullptr);
      if (scheduler.batch(lease).has_callers && scheduler.crowded()) Atom::yield();
      lease = scheduler.finish(lease, role);
    }
  }
}

}  // namespace inferkit
