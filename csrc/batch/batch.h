// Requests that run together, and the buffers of their run.
#pragma once

#include <cstdint>
#include <vector>

#include "batch/assembler.h"
#include "batch/lane.h"
#include "batch/request.h"
#include "batch/retry_groups.h"

namespace inferkit {

// One per instance, reused. Filled by the token holder, then read and run by the one thread that
// was given the lease; its members' deadlines stay readable by the token holder meanwhile.
// Owns: the queue side of its members until each is completed. After reserve() none of its lists
// asks the heap, but for the scratch of the run.
template <class Atom>
struct Batch {
  // What the keeper may need of a member without touching the record.
  struct Deadline {
    Handle handle;
    TimeNs at = kNever;
  };

  std::vector<Request<Atom>*> members;
  std::vector<Deadline> deadlines;  // of members that cannot time themselves
  std::uint32_t rows = 0;
  Lane<Atom>* lane = nullptr;
  TimeNs claimed = 0;
  bool has_callers = false;  // threads that wait for their answers
  bool has_parts = false;    // a member runs some of its rows only
  bool alone = true;         // no other batch was running when this one was claimed
  TimeNs stop_at = kNever;   // a lent thread must have it back by then
  bool was_stopped = false;  // told to; still holds for the next run of the lease

  // Left by the runner for the token holder, published by the lease's return.
  DurationNs took = 0;     // 0: not to be learned from (failed)
  bool on_a_loop = false;  // where that was
  TimeNs ended = kNever;   // when, where the run came to its end
  bool ran_out_of_memory = false;
  RetryGroups<Atom> retries;
  std::vector<Request<Atom>*> unfinished;  // had a part of their rows in this batch

  // Scratch of the run, kept to spare the allocator.
  std::vector<Rider> riders;
  std::vector<TensorView> inputs;
  std::vector<TensorView> outputs;

  // For so many members.
  void reserve(std::size_t most_members) {
    members.reserve(most_members);
    deadlines.reserve(most_members);
    retries.reserve(most_members);
    unfinished.reserve(most_members);
  }

  void clear() noexcept {
    members.clear();
    deadlines.clear();
    retries.clear();
    unfinished.clear();
    has_callers = false;
    has_parts = false;
    stop_at = kNever;
    rows = 0;
    took = 0;
    ended = kNever;
    ran_out_of_memory = false;
    lane = nullptr;
  }
};

}  // namespace inferkit
