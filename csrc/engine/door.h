// How a request comes in while there may be no room.
#pragma once

#include <cstdint>

#include "engine/resolver.h"
#include "engine/scheduler.h"

namespace inferkit {

// Credits for `bytes`, also those that tombstones still hold: requests that were cancelled or
// expired keep theirs until they are buried. With `announce`, on `full` the caller has left word
// that it waits: whatever room is made after an epoch() taken before ends a wait() for it.
// Threads: any. Blocks: never. Throws: never.
template <class Atom>
[[nodiscard]] typename Credits<Atom>::Take take_credits(Resolver<Atom>& resolver,
                                                        Scheduler<Atom>& scheduler,
                                                        std::uint64_t bytes,
                                                        bool announce) noexcept {
  using Take = typename Credits<Atom>::Take;
  const auto bury_tombstones = [&] {
    scheduler.ask_sweep();
    static_cast<void>(scheduler.ring({}));
  };
  Take take = resolver.credits.take(bytes);
  if (take == Take::full && scheduler.has_tombstones()) {
    bury_tombstones();
    take = resolver.credits.take(bytes);
  }
  if (take != Take::full || !announce) return take;
  take = resolver.credits.take_or_announce(bytes);
  if (take != Take::full || !scheduler.announced_wait()) return take;
  bury_tombstones();
  return resolver.credits.take_or_announce(bytes);
}

}  // namespace inferkit
