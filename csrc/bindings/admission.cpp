#include "bindings/admission.h"

#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/main_thread.h"
#include "bindings/notifier.h"

namespace inferkit {

EngineRequest* admit_or_wait(SessionObject* session, const CallArgs& call, Feeds& feeds,
                             EngineSink* sink, void* user) {
  if (!call.wait_when_full) return feeds.admit(session, call, sink, user, IfFull::fail);
  Engine& engine = *session->engine;
  IfFull if_full = IfFull::announce;
  while (true) {
    const std::uint32_t epoch = engine.room_epoch();
    EngineRequest* request = feeds.admit(session, call, sink, user, if_full);
    if (request != nullptr || PyErr_Occurred() != nullptr) return request;
    if (engine.clock().now() >= call.deadline) {
      set_no_room_in_time(engine);
      return nullptr;
    }
    const TimeNs until = slice_end(engine.clock(), call.deadline);
    {
      const ReleaseGil released;
      engine.wait_for_room(epoch, until);
    }
    if (!look_up()) return nullptr;
    // The notifier hands out the answers that hold memory: for those it would wait for ever.
    const bool hopeless = Notifier::is_this_thread() && engine.stats().in_flight == 0;
    if (hopeless) if_full = IfFull::fail;
  }
}

void set_no_room_in_time(const Engine& engine) {
  const EngineOptions& options = engine.options();
  set_error(Error(ErrorCode::deadline_exceeded,
                  text("the timeout ran out while waiting for room: ", options.max_pending,
                       " requests or ", options.max_pending_bytes, " bytes are pending, or ",
                       options.max_memory_bytes, " bytes in use")));
}

}  // namespace inferkit
