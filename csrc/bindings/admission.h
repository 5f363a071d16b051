// When the session is full: blocking until there is room, and what to say when there was none.
#pragma once

#include <Python.h>

#include "bindings/call_args.h"
#include "bindings/feeds.h"
#include "bindings/session.h"

namespace inferkit {

// Feeds::admit() as the call wants it: at once or never, or when there is room.
// Null with an exception set. Blocks: in the second case, without the GIL, seeing signals.
[[nodiscard]] EngineRequest* admit_or_wait(SessionObject* session, const CallArgs& call,
                                           Feeds& feeds, EngineSink* sink, void* user);

// Sets DeadlineExceededError for a call whose timeout ran out before there was room.
void set_no_room_in_time(const Engine& engine);

}  // namespace inferkit
